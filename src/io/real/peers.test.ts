/** The conformance suite over every way in which bytes travel: pullers' threads, Node's streams, TLS. */
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runPeersConformance } from '../../../tests/conformance/peers.ts';
import type { PeersFactory } from '../../../tests/conformance/peers-fixture.ts';
import type { PeerOptions, PeerTransport } from '../peers.ts';
import { createRealClock } from './clock.ts';
import { createRealDisk } from './disk.ts';
import { loadLibc } from './libc.ts';
import { createRealNetwork } from './network.ts';
import { createRealPeers } from './peers.ts';
import { createRealRandom } from './random.ts';

const clock = createRealClock();
const SECRET = Buffer.from('a secret of thirty-two bytes or so');

function factoryOf(ffi: 'auto' | 'off', transport: PeerOptions['transport']): PeersFactory {
  return async (_t, body) => {
    const directory = fs.mkdtempSync(join(tmpdir(), 'forebay-peers-'));
    const disk = createRealDisk({ ffi });
    const network = createRealNetwork({ clock, ffi });
    const peers = createRealPeers({ network, clock, random: createRealRandom(), ffi });
    const open: PeerTransport[] = [];
    let files = 0;
    try {
      await body({
        async start(node, service, options) {
          const address = { host: '127.0.0.1', port: 0 };
          const given = { node, cluster: 'test', address, secrets: () => [SECRET], transport, service };
          const started = await peers.listen({ ...given, onRefused: () => {}, ...options });
          open.push(started);
          return started;
        },
        async fileOf(bytes) {
          const path = join(directory, String(files++));
          fs.writeFileSync(path, bytes);
          return await disk.open(path, { write: true });
        },
      });
    } finally {
      await Promise.all(open.map((started) => started.close()));
      await peers.close();
      await network.close();
      await disk.close();
      fs.rmSync(directory, { recursive: true });
    }
  };
}

if (loadLibc().available) runPeersConformance('threads', factoryOf('auto', 'plain'));
runPeersConformance('streams', factoryOf('off', 'plain'));
runPeersConformance('tls', factoryOf('auto', 'tls'));

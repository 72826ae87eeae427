/**
 * Holder and receivers of the pull bench, each a process of its own, so that its CPU time is nobody else's. Run as a file it
 * is the child; imported it is the parent's handle. The holder sends the same file by the same pumps to pullers and, without
 * a frame around it, to the raw floor; both listen on loopback with the same congestion control (`io/real/listen.ts`).
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { BLOCK_SIZE_BYTES, blockCount } from '../src/core/chunk.ts';
import { type ContentId, parseContentId } from '../src/core/ids.ts';
import type { Connection, Disk } from '../src/io/io.ts';
import type { PeerService } from '../src/io/peers.ts';
import { createRealClock } from '../src/io/real/clock.ts';
import { createRealDisk } from '../src/io/real/disk.ts';
import { createRealNetwork } from '../src/io/real/network.ts';
import { createRealPeers } from '../src/io/real/peers.ts';
import { createRealRandom } from '../src/io/real/random.ts';
import { receiveRaw } from './raw-receiver.ts';

/** How a process receives: as a node with FFI, as one without, or as the floor. */
export type PullRole = 'threads' | 'streams' | 'raw';

export interface HolderPorts {
  readonly peer: number;
  readonly raw: number;
}

type Command =
  | { readonly do: 'hold'; readonly path: string; readonly sizeBytes: number }
  | { readonly do: 'receive'; readonly role: PullRole; readonly ports: HolderPorts; readonly sizeBytes: number }
  | { readonly do: 'pull' | 'check'; readonly path: string };

const CONTENT = parseContentId('80000000000000000000000000000001') as ContentId;
const SECRET = Buffer.from('the secret of a bench on loopback only');
const IDLE_MS = 10_000;

export class PullProcess {
  readonly pid: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.pid = child.pid as number;
  }

  static start(): PullProcess {
    const execArgv = ['--disable-warning=ExperimentalWarning'];
    return new PullProcess(fork(import.meta.filename, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv }));
  }

  /** Serves a file as a content, and raw. */
  async hold(path: string, sizeBytes: number): Promise<HolderPorts> {
    return (await this.#ask({ do: 'hold', path, sizeBytes })) as HolderPorts;
  }

  /** Learns the checksums of what is to come, and how. */
  async receive(role: PullRole, ports: HolderPorts, sizeBytes: number): Promise<void> {
    await this.#ask({ do: 'receive', role, ports, sizeBytes });
  }

  /** Gets the whole content into a new file at `path`; the seconds that it took. */
  async pull(path: string): Promise<number> {
    return (await this.#ask({ do: 'pull', path })) as number;
  }

  /** Deletes a file; throws where it does not have the holder's bytes. */
  async check(path: string): Promise<void> {
    await this.#ask({ do: 'check', path });
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }

  /** One command at a time. */
  async #ask(command: Command): Promise<unknown> {
    const settled = new AbortController();
    const answer = once(this.#child, 'message', { signal: settled.signal });
    const gone = once(this.#child, 'exit', { signal: settled.signal }).then(() => {
      throw new Error('a process of the pull bench has ended');
    });
    this.#child.send(command);
    try {
      const [message] = (await Promise.race([answer, gone])) as [{ result: unknown; error?: string }];
      if (message.error !== undefined) throw new Error(message.error);
      return message.result;
    } finally {
      settled.abort();
    }
  }
}

const clock = createRealClock();

async function checksumsOf(disk: Disk, path: string, sizeBytes: number): Promise<readonly number[]> {
  const file = await disk.open(path);
  const sums = await file.checksums({ start: 0, end: sizeBytes }, BLOCK_SIZE_BYTES);
  await file.close();
  return sums;
}

async function hold(path: string, sizeBytes: number): Promise<HolderPorts> {
  const disk = createRealDisk();
  const network = createRealNetwork({ clock });
  const file = await disk.open(path);
  const sums = await checksumsOf(disk, path, sizeBytes);
  const run = 16;
  const service: PeerService = {
    call: async () => sums,
    async *blocks(_from, request) {
      const end = request.first + request.count;
      for (let first = request.first; first < end; first += run) {
        const checksums = sums.slice(first, Math.min(first + run, end));
        yield { first, checksums, source: { kind: 'file', file }, release: () => {} };
      }
    },
  };
  const { listen } = createRealPeers({ network, clock, random: createRealRandom() });
  const { address } = await listen(optionsOf('holder', service));
  const raw = createServer((connection: Connection) => {
    connection.on('error', () => {});
    connection.once('data', () => {
      void network.sendFile({ connection, file, range: { start: 0, end: sizeBytes } }).catch(() => {});
    });
  });
  return { peer: address.port, raw: await network.listen(raw, { host: '127.0.0.1', port: 0 }) };
}

function optionsOf(node: string, service: PeerService) {
  const address = { host: '127.0.0.1', port: 0 };
  const secrets = () => [SECRET];
  return { node, cluster: 'bench', address, secrets, transport: 'plain' as const, service, onRefused: () => {} };
}

const nobody: PeerService = {
  call: async () => null,
  async *blocks() {
    yield* [];
  },
};

/** What gets the content into a file of this process. */
async function receiver(role: PullRole, ports: HolderPorts, sizeBytes: number) {
  const ffi = role === 'streams' ? 'off' : 'auto';
  const disk = createRealDisk({ ffi });
  const network = createRealNetwork({ clock, ffi });
  const peers = createRealPeers({ network, clock, random: createRealRandom(), ffi });
  const transport = await peers.listen(optionsOf(role, nobody));
  const from = { node: 'holder', address: { host: '127.0.0.1', port: ports.peer } };
  const sums = (await transport.call(from, { type: 'sums' }, { deadlineMs: IDLE_MS })) as readonly number[];
  const pulled = async (path: string) => {
    const into = await disk.open(path, { write: true, create: true });
    const count = blockCount(sizeBytes);
    const signal = new AbortController().signal;
    const pull = { from, content: CONTENT, sizeBytes, first: 0, count, into, idleMs: IDLE_MS, signal };
    const fromMs = performance.now();
    await transport.pull({ ...pull, onBlock: () => {} });
    const seconds = (performance.now() - fromMs) / 1000;
    await into.close();
    return seconds;
  };
  const raw = async (path: string) => {
    const fd = openSync(path, 'w');
    const fromMs = performance.now();
    receiveRaw(ports.raw, fd, sizeBytes);
    const seconds = (performance.now() - fromMs) / 1000;
    closeSync(fd);
    return seconds;
  };
  return {
    pull: (path: string) => (role === 'raw' ? raw(path) : pulled(path)),
    async check(path: string): Promise<void> {
      const found = await checksumsOf(disk, path, sizeBytes);
      rmSync(path);
      const right = found.length === sums.length && found.every((sum, index) => sum === sums[index]);
      if (!right) throw new Error(`${role}: what was received is not what the holder has`);
    },
  };
}

function serveParent(): void {
  let get: Awaited<ReturnType<typeof receiver>> | undefined;
  const perform = async (command: Command): Promise<unknown> => {
    if (command.do === 'hold') return await hold(command.path, command.sizeBytes);
    if (command.do === 'receive') {
      get = await receiver(command.role, command.ports, command.sizeBytes);
      return undefined;
    }
    return command.do === 'pull' ? await get?.pull(command.path) : await get?.check(command.path);
  };
  process.on('message', (command: Command) => {
    void perform(command).then(
      (result) => process.send?.({ result }),
      (error: Error) => process.send?.({ error: error.stack }),
    );
  });
  process.on('disconnect', () => process.exit());
}

if (process.argv[1] === import.meta.filename) serveParent();

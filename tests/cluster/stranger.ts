/** Someone who speaks the peers' protocol and is no member: what a node does when it is asked in a way that nodes do not. */
import type { TestContext } from 'node:test';
import { type Address, parseAddress } from '../../src/core/address.ts';
import type { Json, PeerMessage } from '../../src/io/peers.ts';
import { createRealClock } from '../../src/io/real/clock.ts';
import { createRealNetwork } from '../../src/io/real/network.ts';
import { createRealPeers } from '../../src/io/real/peers.ts';
import { createRealRandom } from '../../src/io/real/random.ts';
import type { ClusterNode } from './node.ts';

export interface Stranger {
  readonly call: (to: Pick<ClusterNode, 'name' | 'doors'>, message: PeerMessage, deadlineMs?: number) => Promise<Json>;
}

/** Closed when the test ends. */
export async function stranger(t: TestContext, { secret }: { secret: string }): Promise<Stranger> {
  const clock = createRealClock();
  const network = createRealNetwork({ clock });
  const peers = createRealPeers({ network, clock, random: createRealRandom() });
  const refuse = () => {
    throw new Error('nobody asks a stranger');
  };
  const transport = await peers.listen({
    node: 'stranger',
    cluster: 'forebay',
    address: { host: '127.0.0.1', port: 0 },
    secrets: () => [Buffer.from(secret)],
    transport: 'plain',
    service: { call: refuse, blocks: refuse },
    onRefused: () => undefined,
  });
  t.after(async () => {
    await transport.close();
    await peers.close();
    await network.close();
  });
  return {
    call: ({ name, doors }, message, deadlineMs = 10_000) =>
      transport.call({ node: name, address: parseAddress(doors.peer) as Address }, message, { deadlineMs }),
  };
}

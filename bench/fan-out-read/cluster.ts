/** What every bench of several nodes asks of them and of their links. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeStatus } from '../../src/front/admin/node-status.ts';
import type { Daemon } from '../daemon.ts';
import type { Goodput } from './floor.ts';
import type { HostAgent } from './host-agent.ts';

const GOODPUT_MS = 1500;
/** Streams that measure the origin's link together must be able to fill it. */
const ORIGIN_STREAMS_SPARE = 1;
const ACQUAINT_MAX_MS = 30_000;
const ACQUAINT_POLL_MS = 50;

interface ClusterNode {
  readonly name: string;
  readonly agent: HostAgent;
  readonly daemon: Daemon;
}

/** Waits until every one of these nodes knows every other one. */
export async function acquainted(nodes: readonly ClusterNode[]): Promise<void> {
  const until = performance.now() + ACQUAINT_MAX_MS;
  const knowsAll = async ({ agent, daemon }: ClusterNode): Promise<boolean> => {
    const status = JSON.parse(await agent.ask(`http://${daemon.admin}/v1/status`)) as Pick<NodeStatus, 'membership'>;
    const known = new Set(status.membership?.members.map(({ node }) => node));
    return nodes.every(({ name }) => known.has(name));
  };
  while (!(await Promise.all(nodes.map(knowsAll))).every(Boolean)) {
    if (performance.now() > until) throw new Error('the nodes do not all know each other');
    await sleep(ACQUAINT_POLL_MS);
  }
}

/** Raw TCP over the same links, now. */
export async function measureGoodput(
  originAgent: HostAgent,
  agents: readonly HostAgent[],
  originLinks: number,
): Promise<Goodput> {
  const [first, second] = agents as [HostAgent, HostAgent?];
  const peer = second ?? originAgent;
  const rate = ({ bytes, ms }: { bytes: number; ms: number }) => (bytes * 1000) / ms;
  const link = rate(await first.receive(await peer.source(), GOODPUT_MS));
  const streams = agents.slice(0, Math.ceil(originLinks) + ORIGIN_STREAMS_SPARE);
  const source = await originAgent.source();
  const received = await Promise.all(streams.map((agent) => agent.receive(source, GOODPUT_MS)));
  return { link, origin: received.map(rate).reduce((sum, one) => sum + one, 0) };
}

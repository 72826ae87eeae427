/**
 * When a step is safe and when it is durable, seen from outside: safe is what a node's admin door says of the records of its files,
 * durable is what the origin's own log says.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicMs } from '../fan-out-read/agent-command.ts';
import type { OriginRequest } from '../origin-log.ts';
import { BUCKET, daemonOf, type Rig, type RigNode } from './rig.ts';
import { filesOf, type Step } from './step.ts';

const SAFE_POLL_MS = 20;
const DURABLE_POLL_MS = 40;
const WAIT_MAX_MS = 120_000;
const LOG_LINES = 5;

/** What a node tells of a written object. */
export interface WrittenState {
  readonly key: string;
  readonly kind: 'dirty' | 'tombstone' | 'stub';
  readonly level?: 'local' | 'replicated';
  /** Nodes that have it whole. */
  readonly replicas?: readonly string[];
}

export async function statesOf(node: RigNode, step: Step): Promise<readonly WrittenState[]> {
  const query = new URLSearchParams({ volume: BUCKET, prefix: step.prefix });
  const said = await node.agent.ask(`http://${daemonOf(node).admin}/v1/writes?${query.toString()}`);
  return (JSON.parse(said) as { objects: readonly WrittenState[] }).objects;
}

/** More than one node has it, or the origin. */
export const isSafe = ({ kind, level }: WrittenState) =>
  kind === 'stub' || (kind === 'dirty' && level === 'replicated');

/** With the last that the daemons wrote to their logs: the bench removes everything else. */
function late(rig: Rig, what: string): Error {
  const logs = rig.nodes.map(({ name, daemon }) => {
    const lines = daemon?.complaint.trimEnd().split('\n').slice(-LOG_LINES).join('\n') ?? '';
    return lines === '' ? '' : `\nthe log of ${name} ends with:\n${lines}`;
  });
  return new Error(`${what} after ${WAIT_MAX_MS / 1000} s${logs.join('')}`);
}

/** Milliseconds of CLOCK_MONOTONIC at which a node first said that the whole step is safe; undefined once `signal` aborts. */
export async function untilSafe(
  rig: Rig,
  step: Step,
  options: { node?: RigNode; signal?: AbortSignal } = {},
): Promise<number | undefined> {
  const { node = rig.nodes[0] as RigNode, signal } = options;
  const names = filesOf(step).map(({ name }) => name);
  const until = performance.now() + WAIT_MAX_MS;
  while (signal?.aborted !== true) {
    const states = await statesOf(node, step);
    const safe = new Set(states.filter(isSafe).map(({ key }) => key));
    if (names.every((name) => safe.has(name))) return monotonicMs();
    if (performance.now() > until) throw late(rig, `${names.length - safe.size} files of a step are not safe`);
    await sleep(SAFE_POLL_MS);
  }
  return undefined;
}

export const isArrival = ({ method, status }: OriginRequest) =>
  status === 200 && (method === 'PUT' || method === 'COMPLETE');

/** When the origin had the whole step, every byte compared. Rejects on a wrong byte. */
export async function untilDurable(rig: Rig, step: Step): Promise<number> {
  const files = filesOf(step);
  const until = performance.now() + WAIT_MAX_MS;
  for (;;) {
    const arrivals = new Map<string, number>();
    for (const request of await rig.origin.requests())
      if (isArrival(request)) arrivals.set(request.key, request.atMs as number);
    if (files.every(({ name }) => arrivals.has(name))) {
      const lacking = await rig.origin.lacks(files.map(({ name, ...rest }) => ({ key: name, ...rest })));
      if (lacking.length > 0) throw new Error(`the origin has wrong bytes of ${lacking.join(', ')}`);
      return Math.max(...files.map(({ name }) => arrivals.get(name) as number));
    }
    if (performance.now() > until) throw late(rig, 'the origin does not have the whole step');
    await sleep(DURABLE_POLL_MS);
  }
}

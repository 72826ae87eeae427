/** Who is measured, and how one of them saves one step. */
import { CpuWatch } from '../cpu-busy.ts';
import { monotonicMs } from '../fan-out-read/agent-command.ts';
import type { AckLevel, CheckpointAttempt, JobFile, SaveTarget, Spell } from './job-command.ts';
import { BUCKET, daemonOf, type Rig, type RigNode } from './rig.ts';
import { filesOf, type Step } from './step.ts';
import { untilDurable, untilSafe } from './watch.ts';

export const CANDIDATES = {
  adopt: 'Forebay, adopt',
  checkpoint: 'Forebay, checkpoint',
  local: 'Forebay, S3, local',
  replicated: 'Forebay, S3, replicated',
  origin: 'Forebay, S3, origin',
  async: 'local + async copy',
  direct: 'direct to the origin',
  plain: 'local only',
} as const;
export type Candidate = keyof typeof CANDIDATES;
export const CANDIDATE_NAMES = Object.keys(CANDIDATES) as readonly Candidate[];

const AT_S3: Partial<Record<Candidate, AckLevel>> = {
  checkpoint: 'local',
  local: 'local',
  replicated: 'replicated',
  origin: 'origin',
};

export const needsForebay = (candidate: Candidate): boolean => candidate === 'adopt' || candidate in AT_S3;

/** One step saved by one candidate. Seconds from the first rank's start. */
export interface StepTrial {
  readonly candidate: Candidate;
  readonly sizeBytes: number;
  /** The last rank goes on. */
  readonly blockedS: number;
  /** The step survives the loss of any node; absent: never. */
  readonly safeS?: number;
  /** The origin has the whole step; absent: never. */
  readonly durableS?: number;
  /** Fraction of the machine in use until it was durable. */
  readonly cpuBusy: number;
  /** CPU seconds of the nodes' daemons together, without the kernel's work on packets that nobody is charged for. */
  readonly daemonsCpuS: number;
}

function targetOf(candidate: Candidate, rig: Rig, node: RigNode, checkpoint?: CheckpointAttempt): SaveTarget {
  const ack = AT_S3[candidate];
  if (ack !== undefined)
    return { kind: 's3', host: daemonOf(node).s3, prefix: rig.path, ack, ...(checkpoint && { checkpoint }) };
  if (candidate === 'direct') return { kind: 'origin', host: rig.originAddress, prefix: rig.path };
  return { kind: 'files', directory: candidate === 'adopt' ? node.adopted : node.files };
}

/** A question to a node's admin door about checkpoints. */
async function ask(node: RigNode, what: 'begin' | 'commit', body: Readonly<Record<string, unknown>>): Promise<string> {
  return node.agent.ask(`http://${daemonOf(node).admin}/v1/checkpoints/${what}`, { volume: BUCKET, ...body });
}

/** A step on its way: its ranks have been told to save. Promises that nobody awaits end nothing. */
export interface Saving {
  /** Every rank goes on. */
  readonly saved: Promise<Spell>;
  /** The marker is written too: to the job the step is there. */
  readonly acknowledged: Promise<unknown>;
  /** As a checkpoint: when it was committed. */
  readonly committedMs: Promise<number | undefined>;
  /** With the async copy: everything is copied. */
  readonly ended: Promise<unknown>;
}

function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

/**
 * All ranks save at once; when all are done one of them writes the marker. The async copy starts on each node when its ranks
 * are done, so that it blocks nobody, and copies the marker last.
 */
export function beginSave(rig: Rig, step: Step, candidate: Candidate, begun?: CheckpointAttempt): Saving {
  const copies: Promise<Spell>[] = [];
  const copyOf = ({ copier, files }: RigNode, file: JobFile) =>
    quiet(copier.copy({ directory: files, file, host: rig.originAddress, prefix: rig.path }));
  const save = (node: RigNode, ranks: readonly (readonly JobFile[])[]) =>
    node.job.save(ranks, targetOf(candidate, rig, node, begun));
  const nodes = [...rig.nodes];
  const saveShards = async (node: RigNode): Promise<Spell | undefined> => {
    const ranks = step.nodes[node.index] ?? [];
    if (ranks.length === 0) return undefined;
    const spell = await save(node, ranks);
    if (candidate === 'async') copies.push(...ranks.flat().map((file) => copyOf(node, file)));
    return spell;
  };
  const saved = Promise.all(nodes.map(saveShards)).then((all) => {
    const spells = all.filter((spell) => spell !== undefined);
    return {
      fromMs: Math.min(...spells.map(({ fromMs }) => fromMs)),
      toMs: Math.max(...spells.map(({ toMs }) => toMs)),
    };
  });
  const first = nodes[0] as RigNode;
  const acknowledged = saved.then(() => save(first, [[step.marker]]));
  const committed = async (): Promise<number | undefined> => {
    await acknowledged;
    if (begun === undefined) return undefined;
    await ask(first, 'commit', { ...begun, count: filesOf(step).length });
    return monotonicMs();
  };
  const committedMs = quiet(committed());
  const copied = async (): Promise<void> => {
    await acknowledged;
    await committedMs;
    if (candidate !== 'async') return;
    await Promise.all(copies);
    await copyOf(first, step.marker);
  };
  return { saved: quiet(saved), acknowledged: quiet(acknowledged), committedMs, ended: quiet(copied()) };
}

async function begunFor(rig: Rig, step: Step, candidate: Candidate): Promise<CheckpointAttempt | undefined> {
  if (candidate !== 'checkpoint') return undefined;
  const name = step.prefix.slice(0, -1);
  const said = await ask(rig.nodes[0] as RigNode, 'begin', { name });
  return { name, attempt: (JSON.parse(said) as { attempt: string }).attempt };
}

/**
 * One step of a candidate, until it is durable (plain files: until they are written). Every byte at the origin is compared. `onSafe` may
 * do something with a step that is safe, before anything else is waited for.
 */
export async function measure(
  rig: Rig,
  step: Step,
  candidate: Candidate,
  onSafe: () => Promise<void> = () => Promise.resolve(),
): Promise<StepTrial> {
  await rig.origin.reset();
  const cpu = new CpuWatch();
  const daemonsS = () => rig.nodes.reduce((sum, { daemon }) => sum + (daemon?.cpuSeconds() ?? 0), 0);
  const daemonsFromS = daemonsS();
  const saving = beginSave(rig, step, candidate, await begunFor(rig, step, candidate));
  // what is not committed is nobody's to see, and a checkpoint is committed when it is safe
  const isWatched = needsForebay(candidate) && candidate !== 'checkpoint';
  const safe = isWatched
    ? quiet(
        untilSafe(rig, step).then(async (atMs) => {
          await onSafe();
          return atMs;
        }),
      )
    : undefined;
  const { fromMs, toMs } = await saving.saved;
  await saving.ended;
  const durableMs = candidate === 'plain' ? undefined : await untilDurable(rig, step);
  // what the origin has is safe, whenever a node says so
  const seenSafeMs = (await saving.committedMs) ?? (await safe);
  const safeMs = durableMs === undefined ? undefined : Math.min(seenSafeMs ?? durableMs, durableMs);
  const seconds = (ms: number) => (ms - fromMs) / 1000;
  return {
    candidate,
    sizeBytes: step.sizeBytes,
    blockedS: seconds(toMs),
    ...(safeMs !== undefined && { safeS: seconds(safeMs) }),
    ...(durableMs !== undefined && { durableS: seconds(durableMs) }),
    cpuBusy: cpu.busy(),
    daemonsCpuS: daemonsS() - daemonsFromS,
  };
}

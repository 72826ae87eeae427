/** One trial: every node gets the same object at the same time, by one of the candidates. */
import { CpuWatch } from '../cpu-busy.ts';
import { countRequests, coverage } from '../origin-log.ts';
import { median } from '../statistics.ts';
import type { Done, Sample } from './agent-command.ts';
import type { BenchObject, Rig, RigNode } from './rig.ts';

export interface NodeTrial {
  readonly node: string;
  /** From the first node's start to this one's end. */
  readonly seconds: number;
  readonly samples: readonly Sample[];
}

export interface Trial {
  readonly candidate: string;
  /** First node's start to last node's end. */
  readonly makespanS: number;
  readonly nodes: readonly NodeTrial[];
  /** Fraction of the machine in use meanwhile. */
  readonly cpuBusy: number;
  /** CPU seconds of the nodes' daemons together, without the kernel's work on packets that nobody is charged for. */
  readonly daemonsCpuS: number;
  readonly origin: {
    readonly gets: number;
    readonly bytes: number;
    readonly bytesRatio: number;
    /** Of the object: asked for more than once, and never. */
    readonly twiceBytes: number;
    readonly neverBytes: number;
  };
  /** Bytes that the nodes themselves count as read from the origin again, with a reason. */
  readonly refills: number;
}

/** How a node gets the object; `onBytes` hears of progress. */
export type Get = (node: RigNode, object: BenchObject, onBytes: (bytes: number) => void) => Promise<Done>;

const TRIAL_MAX_MS = 300_000;
const LOG_LINES = 5;
const REFILLS = 'forebay_origin_refills_total';

export const firstS = (trial: Trial) => Math.min(...trial.nodes.map((node) => node.seconds));
export const p50S = (trial: Trial) => median(trial.nodes.map((node) => node.seconds));

async function within<T>(work: Promise<T>, what: string): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Error(`${what} has not ended after ${TRIAL_MAX_MS / 1000} s`)),
    TRIAL_MAX_MS,
  );
  return Promise.race([work, promise]).finally(() => clearTimeout(timer));
}

/** With the last that the node's daemon wrote to its log: the bench removes everything else. */
function withLog(error: Error, node: RigNode): Error {
  const log = node.daemon.complaint.trimEnd().split('\n').slice(-LOG_LINES).join('\n');
  return new Error(`${error.message}\nthe log of ${node.name} ends with:\n${log}`, { cause: error });
}

/** All of `nodes` at once. Rejects when one fails that `mayFail` does not name, or when a byte is wrong. */
export async function runTrial(
  rig: Rig,
  object: BenchObject,
  options: {
    readonly candidate: string;
    readonly get: Get;
    readonly nodes?: readonly RigNode[];
    readonly mayFail?: (node: RigNode) => boolean;
    /** Hears of progress: bytes of each node so far, by name. */
    readonly onBytes?: (bytes: ReadonlyMap<string, number>) => void;
  },
): Promise<Trial> {
  const { candidate, get, nodes = rig.nodes, mayFail = () => false } = options;
  await rig.origin.reset();
  const refillsBefore = await rig.counter(REFILLS);
  const daemons = () =>
    rig.nodes.filter((node) => !node.daemon.hasEnded).reduce((sum, node) => sum + node.daemon.cpuSeconds(), 0);
  const daemonsFromS = daemons();
  const cpu = new CpuWatch();
  const came = new Map<string, number>();
  const all = nodes.map(async (node) => {
    const note = (bytes: number) => {
      came.set(node.name, bytes);
      options.onBytes?.(came);
    };
    try {
      return { node, done: await get(node, object, note) };
    } catch (error) {
      if (mayFail(node)) return undefined;
      throw withLog(error as Error, node);
    }
  });
  const done = (await within(Promise.all(all), candidate)).filter((one) => one !== undefined);
  const cpuBusy = cpu.busy();
  const daemonsCpuS = daemons() - daemonsFromS;
  const requests = await rig.origin.requests();
  for (const {
    node,
    done: { sha256 },
  } of done)
    if (sha256 !== undefined && sha256 !== object.sha256) throw new Error(`${candidate}: ${node.name} has wrong bytes`);
  const fromMs = Math.min(...done.map((one) => one.done.fromMs));
  const { gets, getBytes } = countRequests(requests);
  const { twiceBytes, neverBytes } = coverage(requests, object.key, object.sizeBytes);
  return {
    candidate,
    makespanS: (Math.max(...done.map((one) => one.done.toMs)) - fromMs) / 1000,
    nodes: done.map(({ node, done: { toMs, samples } }) => ({
      node: node.name,
      seconds: (toMs - fromMs) / 1000,
      samples: samples.map(([atMs, bytes]) => [(atMs - fromMs) / 1000, bytes] as const),
    })),
    cpuBusy,
    daemonsCpuS,
    origin: { gets, bytes: getBytes, bytesRatio: getBytes / object.sizeBytes, twiceBytes, neverBytes },
    refills: (await rig.counter(REFILLS)) - refillsBefore,
  };
}

/** Reads the object at every node's own S3 door: proof of the bytes of candidates that do not hand them out. */
export async function proveBytes(rig: Rig, object: BenchObject, nodes: readonly RigNode[] = rig.nodes): Promise<void> {
  await Promise.all(
    nodes.map(async (node) => {
      const { sha256 } = await readAtDoor(rig)(node, object, () => undefined).catch((error: Error) => {
        throw withLog(error, node);
      });
      if (sha256 !== object.sha256) throw new Error(`${node.name} has wrong bytes of ${object.key}`);
    }),
  );
}

/** `POST /v1/warm` at every node. */
export const warmUp =
  (rig: Rig): Get =>
  (node, object, onBytes) =>
    node.agent.warm(node.daemon.admin, rig.targetOf(object), onBytes);

/** A streaming reader at every node's S3 door. */
export const readAtDoor =
  (rig: Rig): Get =>
  (node, object, onBytes) =>
    node.agent.read({ host: node.daemon.s3, path: rig.pathOf(object), sizeBytes: object.sizeBytes }, onBytes);

/** The same reader, straight at the origin. */
export const readAtOrigin =
  (rig: Rig): Get =>
  (node, object, onBytes) =>
    node.agent.read({ host: node.origin, path: rig.pathOf(object), sizeBytes: object.sizeBytes }, onBytes);

/** Fan-out reads when something goes: a node that is killed midway, one behind a slow link, one that comes when all is done. */
import type { Progress } from '../progress.ts';
import { figure, shown } from '../result.ts';
import { bootstrap, ratio } from '../statistics.ts';
import { measure } from './candidates.ts';
import { counted, nodeFigures, originFigures } from './figures.ts';
import type { FanOutReadOptions, Part } from './part.ts';
import type { Rig, RigNode } from './rig.ts';
import { p50S, proveBytes, runTrial, type Trial, warmUp } from './trial.ts';

const TRIALS_MAX = 3;
/** A kill that comes too late is tried again. */
const KILL_TRIES_MAX = 4;
const ORIGIN_BYTES_KILL_MAX = 1.25;
/** A slow node gives up the fill that it began before it was known to be slow. */
const ORIGIN_BYTES_SLOW_MAX = 1.1;
const SLOW_SHARE = 0.1;

const trialsWanted = ({ pairs }: FanOutReadOptions): number => Math.min(TRIALS_MAX, pairs);

/** All nodes but the last; then the last, for whom the origin must not be asked. */
export async function lateTrials(rig: Rig, options: FanOutReadOptions, progress: Progress): Promise<Part> {
  const trials: Trial[] = [];
  const wanted = trialsWanted(options);
  for (let i = 0; i < wanted; i++) {
    progress.say(`late joiner, trial ${i + 1} of ${wanted}`);
    const object = await rig.freshObject();
    const late = rig.nodes.at(-1) as RigNode;
    const get = warmUp(rig);
    await runTrial(rig, object, { candidate: 'before the late joiner', get, nodes: rig.nodes.slice(0, -1) });
    trials.push(await runTrial(rig, object, { candidate: 'late joiner', get, nodes: [late] }));
    await proveBytes(rig, object, [late]);
    await rig.forget(object);
  }
  return {
    figures: {
      originBytesLate: figure(counted(trials.map(({ origin }) => origin.bytes)), 'bytes', {
        target: { atMost: 0 },
        beside: 'read from the origin for a node that comes when the others are done',
      }),
      lateNodeS: figure(bootstrap(trials.map(({ makespanS }) => makespanS)), 's'),
    },
    trials: { late: trials },
  };
}

/** The last nodes have a tenth of the link; what the others get is compared with all nodes at full speed, in pairs. */
export async function slowTrials(rig: Rig, options: FanOutReadOptions, progress: Progress): Promise<Part> {
  const slow = rig.nodes.slice(-options.slow);
  const others = (trial: Trial): Trial => ({
    ...trial,
    nodes: trial.nodes.filter(({ node }) => !slow.some(({ name }) => name === node)),
  });
  const setRate = (mbit: number) => Promise.all(slow.map(({ host }) => host.setRate(mbit)));
  const pairs: { slow: Trial; even: Trial }[] = [];
  const wanted = trialsWanted(options);
  for (let i = 0; i < wanted; i++) {
    progress.say(`${options.slow} slow, trial ${i + 1} of ${wanted}`);
    const even = await measure(rig, 'warm');
    await setRate(options.linkMbit * SLOW_SHARE);
    try {
      pairs.push({ slow: await measure(rig, 'warm'), even });
    } finally {
      await setRate(options.linkMbit);
    }
  }
  const ratios = pairs.map((pair) => ({ ours: p50S(others(pair.slow)), baseline: p50S(others(pair.even)) }));
  return {
    figures: {
      p50RatioSlow: figure(ratio(ratios), '', {
        beside: `median of the other nodes ÷ without slow ones; ${options.slow} of ${options.nodes} at ${SLOW_SHARE} of the link`,
      }),
      ...nodeFigures(
        pairs.map((pair) => pair.slow),
        'Slow',
      ),
      ...originFigures(
        pairs.map((pair) => pair.slow),
        { suffix: 'Slow', bytesRatioMax: ORIGIN_BYTES_SLOW_MAX, onceOnly: false },
      ),
    },
    trials: { slow: pairs },
  };
}

/** When half of all bytes have come, the nodes that have the fewest are killed. Undefined where they were done before it happened. */
async function killTrial(rig: Rig, kill: number): Promise<Trial | undefined> {
  const object = await rig.freshObject();
  const halfBytes = (rig.nodes.length * object.sizeBytes) / 2;
  let victims: readonly RigNode[] = [];
  let killed: Promise<unknown> | undefined;
  const trial = await runTrial(rig, object, {
    candidate: 'kill',
    get: warmUp(rig),
    mayFail: (node) => victims.includes(node),
    onBytes(bytes) {
      if (killed !== undefined || [...bytes.values()].reduce((sum, one) => sum + one, 0) < halfBytes) return;
      const of = (node: RigNode) => bytes.get(node.name) ?? 0;
      victims = [...rig.nodes].sort((a, b) => of(a) - of(b)).slice(0, kill);
      killed = Promise.all(victims.map(({ daemon }) => daemon.kill()));
    },
  });
  await killed;
  const survivors = rig.nodes.filter((node) => !victims.includes(node));
  await proveBytes(rig, object, survivors);
  for (const victim of victims) await rig.revive(victim);
  await rig.forget(object);
  const isMidway = victims.length > 0 && !trial.nodes.some(({ node }) => victims.some(({ name }) => name === node));
  return isMidway ? trial : undefined;
}

export async function killTrials(rig: Rig, options: FanOutReadOptions, progress: Progress): Promise<Part> {
  const trials: Trial[] = [];
  const wanted = trialsWanted(options);
  for (let tried = 0; trials.length < wanted; tried++) {
    if (tried === wanted * KILL_TRIES_MAX)
      throw new Error('kill: the nodes are always done before one can be killed; take a larger object (--chunks)');
    progress.say(`${options.kill} killed midway, trial ${trials.length + 1} of ${wanted}`);
    const trial = await killTrial(rig, options.kill);
    if (trial !== undefined) trials.push(trial);
  }
  const expected = options.nodes - options.kill;
  return {
    figures: {
      survivorsKill: figure(counted(trials.map(({ nodes }) => nodes.length)), 'nodes', {
        target: { atLeast: expected },
        beside: `had all bytes, proved by SHA-256; ${shown(options.kill)} of ${options.nodes} killed at half of the bytes`,
      }),
      ...originFigures(trials, { suffix: 'Kill', bytesRatioMax: ORIGIN_BYTES_KILL_MAX, onceOnly: false }),
      ...nodeFigures(trials, 'Kill'),
    },
    trials: { kill: trials },
  };
}

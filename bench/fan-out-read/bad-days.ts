/** Fan-out reads when something goes: a node that is killed midway, one behind a slow link, one that comes when all is done. */
import type { Progress } from '../progress.ts';
import { figure, shown } from '../result.ts';
import { bootstrap, ratio } from '../statistics.ts';
import { measure } from './candidates.ts';
import { counted, nodeFigures, originFigures } from './figures.ts';
import type { FanOutReadOptions, Part } from './part.ts';
import type { Rig, RigNode } from './rig.ts';
import { p50S, proveBytes, runTrial, type Trial, warmUp } from './trial.ts';

const TRIALS = 3;
const ORIGIN_BYTES_KILL_MAX = 1.25;
const SLOW_SHARE = 0.1;

/** All nodes but the last; then the last, for whom the origin must not be asked. */
export async function lateTrials(rig: Rig, progress: Progress): Promise<Part> {
  const trials: Trial[] = [];
  for (let i = 0; i < TRIALS; i++) {
    progress.say(`late joiner, trial ${i + 1} of ${TRIALS}`);
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
  for (let i = 0; i < TRIALS; i++) {
    progress.say(`${options.slow} slow, trial ${i + 1} of ${TRIALS}`);
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
        { suffix: 'Slow', bytesRatioMax: 1, onceOnly: false },
      ),
    },
    trials: { slow: pairs },
  };
}

/** The last nodes are killed when half of all bytes have come. */
async function killTrial(rig: Rig, kill: number): Promise<Trial> {
  const object = await rig.freshObject();
  const victims = rig.nodes.slice(-kill);
  const halfBytes = (rig.nodes.length * object.sizeBytes) / 2;
  let killed: Promise<unknown> | undefined;
  const trial = await runTrial(rig, object, {
    candidate: 'kill',
    get: warmUp(rig),
    mayFail: (node) => victims.includes(node),
    onBytes(bytes) {
      if (bytes >= halfBytes) killed ??= Promise.all(victims.map(({ daemon }) => daemon.kill()));
    },
  });
  if (killed === undefined)
    throw new Error('kill: the nodes were done before half of the bytes were seen to have come');
  await killed;
  const survivors = rig.nodes.filter((node) => !victims.includes(node));
  if (trial.nodes.some(({ node }) => victims.some(({ name }) => name === node)))
    throw new Error('kill: a node that was to be killed was done before');
  await proveBytes(rig, object, survivors);
  for (const victim of victims) await rig.revive(victim);
  await rig.forget(object);
  return trial;
}

export async function killTrials(rig: Rig, options: FanOutReadOptions, progress: Progress): Promise<Part> {
  const trials: Trial[] = [];
  for (let i = 0; i < TRIALS; i++) {
    progress.say(`${options.kill} killed midway, trial ${i + 1} of ${TRIALS}`);
    trials.push(await killTrial(rig, options.kill));
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

/**
 * Kill trials: at a random instant of a step everything on one node is killed and its disk removed; then the newest complete
 * step is restored on another node and every byte compared. The async copy gets the same kills: same nodes, same instants.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Progress } from '../progress.ts';
import { type Figure, figure, shown, single } from '../result.ts';
import { bootstrap, median, seededFraction } from '../statistics.ts';
import { beginSave, type Candidate, measure, type StepTrial } from './candidates.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { JobFile } from './job-command.ts';
import { isLost, isPromiseBroken, type KillTrial, type Moment, type System } from './loss.ts';
import { checkpointFor, type FanOutWriteOptions, type Part } from './part.ts';
import { lossPlot } from './plots.ts';
import { RESTORE_PARALLEL } from './restore-part.ts';
import { daemonOf, type Rig, type RigNode } from './rig.ts';
import { filesOf, type Step } from './step.ts';
import { untilDurable, untilSafe } from './watch.ts';

const SEED = 20_261_122;
const RESTORE_MAX_MS = 60_000;
/** Steps are so much smaller than elsewhere: there are many of them. */
const SCALE = 2;

interface Kill {
  readonly victim: number;
  readonly reader: number;
  /** Seconds from the beginning of the step. */
  readonly atS: number;
}

/** A third of the kills while ranks write, a third until the step is safe, a third until it is durable. */
function drawKills(count: number, nodes: number, typical: StepTrial): readonly Kill[] {
  const next = seededFraction(SEED);
  const { blockedS, safeS = blockedS, durableS = safeS } = typical;
  const edges = [0, blockedS, Math.max(safeS, blockedS), Math.max(durableS, safeS, blockedS)];
  return Array.from({ length: count }, (_, i) => {
    const [from, to] = [edges[i % 3] as number, edges[(i % 3) + 1] as number];
    const victim = Math.floor(next() * nodes);
    const reader = (victim + 1 + Math.floor(next() * (nodes - 1))) % nodes;
    return { victim, reader, atS: from + next() * (to - from) };
  });
}

async function within<T>(work: Promise<T>, maxMs: number): Promise<T> {
  const late = new AbortController();
  const timer = sleep(maxMs, undefined, { signal: late.signal }).then(() => {
    throw new Error(`nothing after ${maxMs / 1000} s`);
  });
  timer.catch(() => undefined);
  return Promise.race([work, timer]).finally(() => late.abort());
}

/** The newest of these steps, newest first, that is whole at this address; one without its marker is not looked at further. */
async function newestRestorable(
  rig: Rig,
  reader: RigNode,
  host: string,
  steps: readonly Step[],
): Promise<number | undefined> {
  for (const step of steps) {
    const files: readonly JobFile[] = filesOf(step);
    try {
      if (!(await within(reader.job.exists(host, rig.path + step.marker.name), RESTORE_MAX_MS))) continue;
      const read = reader.job.restore({ host, prefix: rig.path, files, parallel: RESTORE_PARALLEL });
      await within(read, RESTORE_MAX_MS);
      return step.number;
    } catch {
      // not there, or wrong: an older one then
    }
  }
  return undefined;
}

/** The step and the one before it, which is known to be safe. */
interface Situation {
  readonly rig: Rig;
  readonly kill: Kill;
  readonly step: Step;
  readonly before: Step;
}

async function killForebay({ rig, kill, step, before }: Situation, candidate: Candidate): Promise<KillTrial> {
  const victim = rig.nodes[kill.victim] as RigNode;
  const reader = rig.nodes[kill.reader] as RigNode;
  const told = { acknowledged: false, safe: false, durable: false };
  const over = new AbortController();
  await rig.origin.reset();
  const fromMs = performance.now();
  const saving = beginSave(rig, step, candidate);
  saving.acknowledged.then(
    () => {
      told.acknowledged = true;
    },
    () => undefined,
  );
  const watching = untilSafe(rig, step, { node: reader, signal: over.signal }).then(
    (atMs) => {
      told.safe ||= atMs !== undefined;
    },
    () => undefined,
  );
  await sleep(kill.atS * 1000);
  const killedAtS = (performance.now() - fromMs) / 1000;
  const moment: Moment = told.safe ? 'safe' : told.acknowledged ? 'exposed' : 'writing';
  over.abort();
  await rig.kill(victim);
  await Promise.allSettled([saving.ended, watching]);
  const restoreFromMs = performance.now();
  const restored = await newestRestorable(rig, reader, daemonOf(reader).s3, [step, before]);
  const restoreS = (performance.now() - restoreFromMs) / 1000;
  await rig.revive(victim);
  const drained = moment === 'safe' ? await isDrained(rig, step) : undefined;
  const trial = { system: 'forebay', victim: victim.name, killedAtS, moment, step: step.number, restoreS } as const;
  return {
    ...trial,
    before: before.number,
    ...(restored !== undefined && { restored }),
    ...(drained !== undefined && { drained }),
  };
}

const isDrained = (rig: Rig, step: Step): Promise<boolean> =>
  untilDurable(rig, step).then(
    () => true,
    () => false,
  );

async function killAsync({ rig, kill, step, before }: Situation): Promise<KillTrial> {
  const victim = rig.nodes[kill.victim] as RigNode;
  const reader = rig.nodes[kill.reader] as RigNode;
  const told = { acknowledged: false, durable: false };
  await rig.origin.reset();
  const fromMs = performance.now();
  const saving = beginSave(rig, step, 'async');
  const note = (what: 'acknowledged' | 'durable', done: Promise<unknown>) =>
    done.then(
      () => {
        told[what] = true;
      },
      () => undefined,
    );
  const noted = [note('acknowledged', saving.acknowledged), note('durable', saving.ended)];
  await sleep(kill.atS * 1000);
  const killedAtS = (performance.now() - fromMs) / 1000;
  const moment: Moment = told.durable ? 'durable' : told.acknowledged ? 'exposed' : 'writing';
  await rig.killJob(victim);
  await Promise.allSettled([saving.ended, ...noted]);
  const restoreFromMs = performance.now();
  const restored = await newestRestorable(rig, reader, rig.originAddress, [step, before]);
  const restoreS = (performance.now() - restoreFromMs) / 1000;
  await rig.reviveJob(victim);
  const trial = { system: 'async', victim: victim.name, killedAtS, moment, step: step.number, restoreS } as const;
  return { ...trial, before: before.number, ...(restored !== undefined && { restored }) };
}

/** Every kill for one system, each over a step that is known to be durable. */
async function killAll(
  rig: Rig,
  options: {
    system: System;
    candidates: readonly [Candidate, ...Candidate[]];
    kills: readonly Kill[];
    checkpoint: Checkpoint;
  },
  progress: Progress,
): Promise<readonly KillTrial[]> {
  const { system, candidates, kills, checkpoint } = options;
  const trials: KillTrial[] = [];
  let before = rig.freshStep(checkpoint);
  await measure(rig, before, candidates[0]);
  for (const [i, kill] of kills.entries()) {
    const candidate = candidates[i % candidates.length] as Candidate;
    progress.say(`kill ${i + 1} of ${kills.length}: ${system}, node ${kill.victim + 1} after ${shown(kill.atS)} s`);
    const step = rig.freshStep(checkpoint);
    const situation = { rig, kill, step, before };
    const trial = system === 'async' ? await killAsync(situation) : await killForebay(situation, candidate);
    trials.push(trial);
    // what is whole at the origin is what the next step must not cost; the other is nobody's any more
    const isWhole = trial.restored === step.number && (trial.drained ?? trial.moment === 'durable');
    await rig.forget(isWhole ? before : step);
    if (isWhole) before = step;
  }
  return trials;
}

function figuresOf(trials: readonly KillTrial[], system: System): Record<string, Figure> {
  const of = trials.filter((trial) => trial.system === system);
  if (of.length === 0) return {};
  const lost = of.filter(isLost).length;
  const acknowledged = of.filter(({ moment }) => moment !== 'writing').length;
  const restores = figure(bootstrap(of.map(({ restoreS }) => restoreS)), 's', {
    beside: 'the newest complete step, read on another node',
  });
  if (system === 'async')
    return {
      asyncLost: single(lost, 'steps', { beside: `of ${acknowledged} that ranks had written; the same kills` }),
      asyncRestoreAfterKillS: restores,
    };
  const safe = of.filter(({ moment }) => moment === 'safe').length;
  const drains = of.filter(({ drained }) => drained !== undefined);
  return {
    lost: single(of.filter(isPromiseBroken).length, 'steps', {
      target: { atMost: 0 },
      beside: `reported safe and gone, in ${of.length} kills, ${safe} of them of a step that was safe and not yet durable`,
    }),
    lostExposed: single(lost, 'steps', {
      beside: `of ${acknowledged} that ranks had written, with those not yet safe`,
    }),
    undrained: single(drains.filter(({ drained }) => drained === false).length, 'steps', {
      target: { atMost: 0 },
      beside: `of ${drains.length} safe ones did not come to the origin after the kill`,
    }),
    restoreAfterKillS: restores,
  };
}

export async function killsPart(rig: Rig, options: FanOutWriteOptions, progress: Progress): Promise<Part> {
  const [first, ...others] = (['adopt', 'local'] as const).filter((one) => options.candidates.includes(one));
  const checkpoint = checkpointFor(options, { scale: options.scale * SCALE });
  const typical: StepTrial[] = [];
  for (let i = 0; i < 3; i++) {
    progress.say('kills, not counted: how long a step takes');
    const step = rig.freshStep(checkpoint);
    typical.push(await measure(rig, step, first ?? 'async'));
    await rig.forget(step);
  }
  const middle = (value: (trial: StepTrial) => number | undefined) => median(typical.map((trial) => value(trial) ?? 0));
  const kills = drawKills(options.kills, options.nodes, {
    ...(typical[0] as StepTrial),
    blockedS: middle(({ blockedS }) => blockedS),
    safeS: middle(({ safeS }) => safeS),
    durableS: middle(({ durableS }) => durableS),
  });
  const trials: KillTrial[] = [];
  if (options.candidates.includes('async'))
    trials.push(...(await killAll(rig, { system: 'async', candidates: ['async'], kills, checkpoint }, progress)));
  if (first !== undefined)
    trials.push(
      ...(await killAll(rig, { system: 'forebay', candidates: [first, ...others], kills, checkpoint }, progress)),
    );
  return {
    figures: {
      killTrials: single(kills.length, '', { beside: 'nodes killed with their disks, each once for either system' }),
      ...figuresOf(trials, 'forebay'),
      ...figuresOf(trials, 'async'),
    },
    trials: { kills: trials },
    plots: { loss: lossPlot(trials) },
  };
}

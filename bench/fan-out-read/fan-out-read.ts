/**
 * `bench fan-out-read`: N nodes want the same object at the same time (DESIGN.md section 12). In each round each candidate
 * is measured once, the baselines in the first rounds only, in an order that rotates, over links whose raw goodput is measured in the same round.
 */
import { environmentOf } from '../environment.ts';
import type { Progress } from '../progress.ts';
import type { Outcome } from '../scenario.ts';
import { killTrials, lateTrials, slowTrials } from './bad-days.ts';
import { CANDIDATES, type Candidate, measure } from './candidates.ts';
import { roundFigures, selfFigures } from './figures.ts';
import { floorSeconds } from './floor.ts';
import type { FanOutReadOptions, Part, Round } from './part.ts';
import { candidatesPlot, progressPlot } from './plots.ts';
import { predictionOfRounds, predictionTrials } from './prediction.ts';
import { Rig } from './rig.ts';
import { sweep } from './sweep.ts';
import { torrentClient } from './torrent.ts';
import type { Trial } from './trial.ts';

/** Of the rounds of a plain bench that have baselines too: reading from the origin takes as long as all the rest. */
const BASELINE_ROUNDS = 2;

/** Who is measured in a round, in an order that rotates. */
function orderOf(options: FanOutReadOptions, index: number): readonly Candidate[] {
  const ours: readonly Candidate[] = options.self ? ['warm', 'again'] : ['warm', 'door'];
  const isOurs = options.self || (index >= BASELINE_ROUNDS && !options.full);
  const baselines: readonly Candidate[] = torrentClient() === undefined ? ['direct'] : ['direct', 'torrent'];
  const all = isOurs ? ours : [...ours, ...baselines];
  const turn = index % all.length;
  return [...all.slice(turn), ...all.slice(0, turn)];
}

async function round(rig: Rig, order: readonly Candidate[], onTrial: (candidate: Candidate) => void): Promise<Round> {
  const goodput = await rig.goodput();
  const trials: Partial<Record<Candidate, Trial>> = {};
  for (const candidate of order) {
    onTrial(candidate);
    trials[candidate] = await measure(rig, candidate);
  }
  return { goodput, trials, floorS: floorSeconds({ nodes: rig.nodes.length, sizeBytes: rig.sizeBytes, goodput }) };
}

export async function runFanOutRead(options: FanOutReadOptions, progress: Progress): Promise<Outcome> {
  progress.say(`${options.nodes} nodes behind links of ${options.linkMbit} Mbit/s are made`);
  await using rig = await Rig.open(options);
  // A daemon's first object is also what its compiler sees first; all that is cold afterwards is the object.
  progress.say(`not counted: ${CANDIDATES.warm}`);
  await measure(rig, 'warm');
  const rounds: Round[] = [];
  for (let i = 0; i < options.pairs; i++) {
    rounds.push(
      await round(rig, orderOf(options, i), (one) =>
        progress.say(`round ${i + 1} of ${options.pairs}: ${CANDIDATES[one]}`),
      ),
    );
  }
  const parts: Part[] = [options.self ? selfFigures(rounds) : roundFigures(rounds)];
  if (!options.self) {
    parts.push(predictionOfRounds(rounds, options));
    if (options.predict) parts.push(await predictionTrials(rig, options, progress));
    if (options.late) parts.push(await lateTrials(rig, options, progress));
    if (options.slow > 0) parts.push(await slowTrials(rig, options, progress));
    if (options.sweep) parts.push(await sweep(rig, options, progress));
    if (options.kill > 0) parts.push(await killTrials(rig, options, progress));
  }
  return {
    result: {
      scenario: 'fan-out-read',
      environment: environmentOf(rig.directory),
      parameters: {
        ...options,
        shaping: rig.links.shaping,
        congestionControl: rig.links.congestionControl,
        sizeBytes: rig.sizeBytes,
      },
      figures: Object.assign({}, ...parts.map((part) => part.figures)) as Part['figures'],
      trials: Object.assign({}, ...parts.map((part) => part.trials)) as Part['trials'],
    },
    plots: {
      progress: progressPlot(rounds, options),
      makespan: candidatesPlot(rounds, options),
      ...(Object.assign({}, ...parts.map((part) => part.plots ?? {})) as Record<string, string>),
    },
  };
}

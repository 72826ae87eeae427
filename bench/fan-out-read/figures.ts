/** The figures of the rounds of `bench fan-out-read`. */
import { CPU_BUSY_MAX } from '../cpu-busy.ts';
import { type Figure, figure, shown } from '../result.ts';
import { bootstrap, difference, type Interval, median, ratio } from '../statistics.ts';
import { CANDIDATES, type Candidate } from './candidates.ts';
import type { Part, Round } from './part.ts';
import { firstS, p50S, type Trial } from './trial.ts';

const MB = 1e6;
const GB = 1e9;
const EFFICIENCY_MIN = 0.9;

/** Counts are exact: the least and the most of them, without an interval around. */
export function counted(values: readonly number[]): Interval {
  return { median: median(values), low: Math.min(...values), high: Math.max(...values) };
}

export const trialsOf = (rounds: readonly Round[], candidate: Candidate): readonly Trial[] =>
  rounds.map((round) => round.trials[candidate]).filter((trial) => trial !== undefined);

const busyOf = (trials: readonly Trial[]): number => median(trials.map((trial) => trial.cpuBusy));

/** How many times as fast as another candidate, within each round. */
function speedup(rounds: readonly Round[], candidate: Candidate): Figure {
  const pairs = rounds.flatMap(({ trials }) => {
    const [ours, theirs] = [trials.warm, trials[candidate]];
    return ours && theirs ? [{ ours: theirs.makespanS, baseline: ours.makespanS }] : [];
  });
  const theirs = median(pairs.map((pair) => pair.ours));
  return figure(ratio(pairs), '×', { beside: `${CANDIDATES[candidate]}: last node after ${shown(theirs)} s` });
}

function efficiency(rounds: readonly Round[], candidate: 'warm' | 'door'): Figure {
  const trials = trialsOf(rounds, candidate);
  const busy = busyOf(trials);
  const values = rounds.flatMap(({ trials: of, floorS }) => {
    const trial = of[candidate];
    return trial ? [floorS / trial.makespanS] : [];
  });
  const made = `last node after ${shown(median(trials.map((trial) => trial.makespanS)))} s, floor ${shown(median(rounds.map((round) => round.floorS)))} s, CPU ${shown(busy)} busy`;
  return figure(bootstrap(values), '', {
    ...(candidate === 'warm' && { target: { atLeast: EFFICIENCY_MIN } }),
    beside: made,
    inconclusive: busy > CPU_BUSY_MAX,
  });
}

function cpuPerGB(trials: readonly Trial[], beside: string): Figure {
  const values = trials.map(({ daemonsCpuS, nodes }) => {
    const bytes = nodes.reduce((sum, { samples }) => sum + (samples.at(-1)?.[1] ?? 0), 0);
    return (daemonsCpuS * GB) / bytes;
  });
  return figure(bootstrap(values), 's/GB', { beside });
}

function goodputFigures(rounds: readonly Round[]): Record<string, Figure> {
  return {
    linkMBs: figure(bootstrap(rounds.map(({ goodput }) => goodput.link / MB)), 'MB/s', {
      beside: 'B: a raw TCP stream over the same links',
    }),
    originMBs: figure(bootstrap(rounds.map(({ goodput }) => goodput.origin / MB)), 'MB/s', {
      beside: 'of raw TCP streams from the origin together',
    }),
  };
}

/** What the origin was asked, counted by itself. */
export function originFigures(
  trials: readonly Trial[],
  options: { suffix?: string; bytesRatioMax: number; onceOnly: boolean },
): Record<string, Figure> {
  const { suffix = '', bytesRatioMax, onceOnly } = options;
  const ratios = counted(trials.map(({ origin }) => origin.bytesRatio));
  const gets = median(trials.map(({ origin }) => origin.gets));
  return {
    [`originBytesRatio${suffix}`]: figure(ratios, '', {
      target: { atMost: bytesRatioMax },
      beside: `${shown(gets)} GETs, counted at the origin`,
    }),
    ...(onceOnly && {
      [`originTwiceBytes${suffix}`]: figure(counted(trials.map(({ origin }) => origin.twiceBytes)), 'bytes', {
        target: { atMost: 0 },
        beside: 'asked of the origin more than once',
      }),
      [`originRefills${suffix}`]: figure(counted(trials.map(({ refills }) => refills)), '', {
        target: { atMost: 0 },
        beside: "the nodes' own count, with reasons in their metrics",
      }),
    }),
  };
}

export function nodeFigures(trials: readonly Trial[], suffix = ''): Record<string, Figure> {
  return {
    [`firstNodeS${suffix}`]: figure(bootstrap(trials.map(firstS)), 's'),
    [`p50NodeS${suffix}`]: figure(bootstrap(trials.map(p50S)), 's'),
    [`lastNodeS${suffix}`]: figure(bootstrap(trials.map((trial) => trial.makespanS)), 's'),
  };
}

export function roundFigures(rounds: readonly Round[]): Part {
  const warm = trialsOf(rounds, 'warm');
  const ours = [...warm, ...trialsOf(rounds, 'door')];
  return {
    figures: {
      efficiency: efficiency(rounds, 'warm'),
      efficiencyS3: efficiency(rounds, 'door'),
      ...originFigures(ours, { bytesRatioMax: 1, onceOnly: true }),
      ...nodeFigures(warm),
      speedup: speedup(rounds, 'direct'),
      ...(trialsOf(rounds, 'torrent').length > 0 && { speedupTorrent: speedup(rounds, 'torrent') }),
      cpuBusy: figure(counted(warm.map(({ cpuBusy }) => cpuBusy)), '', {
        beside: `of the machine while nodes were warmed; above ${CPU_BUSY_MAX} the links do not bind`,
      }),
      cpuPerGB: cpuPerGB(warm, 'all daemons together, for each GB that a node got'),
      cpuPerGBS3: cpuPerGB(trialsOf(rounds, 'door'), 'the same with S3 readers'),
      ...goodputFigures(rounds),
    },
    trials: { rounds },
  };
}

/** Forebay beside itself. */
export function selfFigures(rounds: readonly Round[]): Part {
  const pairs = rounds.flatMap(({ trials: { warm, again } }) =>
    warm && again ? [{ ours: warm.makespanS, baseline: again.makespanS }] : [],
  );
  const interval = ratio(pairs);
  const text = `last node after ${shown(median(pairs.map((pair) => pair.ours)))} and ${shown(median(pairs.map((pair) => pair.baseline)))} s`;
  return {
    figures: { selfRatio: figure(interval, '', { beside: `${difference(interval)}; ${text}` }) },
    trials: { rounds },
  };
}

/** When a step is safe and when it is durable: what links bound, with caches and files in memory. */
import { CPU_BUSY_MAX } from '../cpu-busy.ts';
import type { Progress } from '../progress.ts';
import { type Figure, figure, shown } from '../result.ts';
import { bootstrap, median, type Pair, ratio, type Target } from '../statistics.ts';
import { CANDIDATES, type Candidate, needsForebay, type StepTrial } from './candidates.ts';
import { type Checkpoint, largestShareBytes } from './checkpoint.ts';
import { checkpointFor, type FanOutWriteOptions, type Part, rigOptions } from './part.ts';
import { timelinePlot } from './plots.ts';
import { Rig } from './rig.ts';
import { blocked, durable, exposed, pairsOf, type Round, runRounds, safe, trialsOf } from './rounds.ts';

/** Copies of what is not at the origin, the writer's counted. */
const REPLICAS = 2;
const SAFE_MAX = 1.15;
const DURABLE_MAX = 1;
const DURABLE_UNEVEN_MAX = 0.5;
const UNEVEN_ROUNDS_MAX = 3;
const SHOWN: readonly Candidate[] = ['replicated', 'origin', 'direct'];
const MB = 1e6;

/** Ours by door, the door's suffix in the names of figures. */
const DOORS = [
  ['adopt', ''],
  ['local', 'S3'],
] as const satisfies readonly (readonly [Candidate, string])[];

const busyOf = (rounds: readonly Round[], candidate: Candidate): number =>
  median(trialsOf(rounds, candidate).map(({ cpuBusy }) => cpuBusy));

function bound(rounds: readonly Round[], candidate: Candidate): { inconclusive: boolean; busy: string } {
  const busy = busyOf(rounds, candidate);
  return { inconclusive: busy > CPU_BUSY_MAX, busy: `CPU ${shown(busy)} busy` };
}

/**
 * The least seconds in which every byte can be on `REPLICAS` nodes: all nodes' disks are one here (W, measured by the plain writes
 * of the same round), and a node's copies leave by its link (B).
 */
function safeFloorS(checkpoint: Checkpoint, round: Round): number {
  const { plain } = round.trials;
  const onDisk = plain === undefined ? 0 : REPLICAS * plain.blockedS;
  return Math.max(onDisk, ((REPLICAS - 1) * largestShareBytes(checkpoint)) / round.goodput.link);
}

function safeFigures(rounds: readonly Round[], checkpoint: Checkpoint): Record<string, Figure> {
  const figures: Record<string, Figure> = {};
  for (const [candidate, suffix] of DOORS) {
    const ratios = rounds.flatMap((round) => {
      const trial = round.trials[candidate];
      return trial === undefined ? [] : [{ s: safe(trial), floorS: safeFloorS(checkpoint, round) }];
    });
    if (ratios.length === 0) continue;
    const { inconclusive, busy } = bound(rounds, candidate);
    const [took, floor] = [median(ratios.map(({ s }) => s)), median(ratios.map(({ floorS }) => floorS))];
    figures[`safeFloorRatio${suffix}`] = figure(bootstrap(ratios.map(({ s, floorS }) => s / floorS)), '', {
      target: { atMost: SAFE_MAX },
      beside: `safe ${shown(took)} s after the first byte, floor ${shown(floor)} s; ${busy}`,
      inconclusive,
    });
  }
  return figures;
}

/** Ours with each door, for what is compared with the copy; the commit's own figure is the checkpoint's. */
const COMMITTED = [
  ['checkpoint', ''],
  ['adopt', 'Adopt'],
  ['local', 'S3'],
] as const satisfies readonly (readonly [Candidate, string])[];

const copied = { candidate: 'async', value: (trial: StepTrial) => durable(trial) - blocked(trial) } as const;

function saying(pairs: readonly Pair[], where: string): string {
  const [ours, theirs] = [median(pairs.map((pair) => pair.ours)), median(pairs.map((pair) => pair.baseline))];
  return `${shown(ours)} s, async copy ${shown(theirs)} s${where}`;
}

/**
 * From the checkpoint's commit, which is when all of it is safe (S-6), to the origin, ÷ the copy's from its local write; beside it
 * both since the ranks went on, also for plain files and PUTs, which settle before the origin shows them.
 */
function durableFigures(
  rounds: readonly Round[],
  options: { suffix?: string; target: Target; where: string },
): Record<string, Figure> {
  const figures: Record<string, Figure> = {};
  const { suffix = '', where } = options;
  for (const [candidate, door] of COMMITTED) {
    const pairs = pairsOf(rounds, { candidate, value: (trial) => durable(trial) - safe(trial) }, copied);
    const whole = pairsOf(rounds, { candidate, value: (trial) => durable(trial) - blocked(trial) }, copied);
    if (pairs.length === 0) continue;
    const { inconclusive, busy } = bound(rounds, candidate);
    if (candidate === 'checkpoint')
      figures[`durableRatio${suffix}`] = figure(ratio(pairs), '', {
        target: options.target,
        beside: `from the commit ${saying(pairs, where)}; ${busy}`,
        inconclusive,
      });
    figures[`durableFromSaveRatio${suffix}${door}`] = figure(ratio(whole), '', {
      beside: `${CANDIDATES[candidate]}, since the ranks went on ${saying(whole, where)}`,
    });
  }
  return figures;
}

function exposedFigures(rounds: readonly Round[]): Record<string, Figure> {
  const figures: Record<string, Figure> = {};
  const names = [
    ...DOORS.map(([candidate, door]) => [candidate, `exposedS${door}`] as const),
    ['async', 'asyncExposedS'],
  ];
  for (const [candidate, name] of names as readonly (readonly [Candidate, string])[]) {
    const values = trialsOf(rounds, candidate).map(exposed);
    if (values.length > 0)
      figures[name] = figure(bootstrap(values), 's', {
        beside: `${CANDIDATES[candidate]}: one dead node loses the step`,
      });
  }
  return figures;
}

function blockedFigures(rounds: readonly Round[]): Record<string, Figure> {
  const names: Partial<Record<Candidate, string>> = {
    replicated: 'blockedReplicatedS',
    origin: 'blockedOriginS',
    direct: 'blockedDirectS',
  };
  return Object.fromEntries(
    Object.entries(names).flatMap(([candidate, name]) => {
      const values = trialsOf(rounds, candidate as Candidate).map(blocked);
      const beside = `ranks wait: ${CANDIDATES[candidate as Candidate]}`;
      return values.length === 0 ? [] : [[name, figure(bootstrap(values), 's', { beside })]];
    }),
  );
}

function cpuFigures(rounds: readonly Round[]): Record<string, Figure> {
  return Object.fromEntries(
    DOORS.flatMap(([candidate, door]) => {
      const values = trialsOf(rounds, candidate).map(({ daemonsCpuS, sizeBytes }) => (daemonsCpuS * 1e9) / sizeBytes);
      const beside = `${CANDIDATES[candidate]}: all daemons together until the step is durable`;
      return values.length === 0 ? [] : [[`cpuPerGB${door}`, figure(bootstrap(values), 's/GB', { beside })]];
    }),
  );
}

const conditions = (rounds: readonly Round[]): Record<string, Figure> => ({
  linkMBs: figure(bootstrap(rounds.map(({ goodput }) => goodput.link / MB)), 'MB/s', {
    beside: 'B: a raw TCP stream over the same links',
  }),
  originMBs: figure(bootstrap(rounds.map(({ goodput }) => goodput.origin / MB)), 'MB/s', {
    beside: 'of raw TCP streams at the origin together',
  }),
});

export async function linksPart(rig: Rig, options: FanOutWriteOptions, progress: Progress): Promise<Part> {
  const { candidates, rounds: count } = options;
  const rounds = await runRounds(rig, { what: 'safe and durable', count, candidates, rarely: SHOWN }, progress);
  return {
    figures: {
      ...safeFigures(rounds, rig.options.checkpoint),
      ...durableFigures(rounds, { target: { atMost: DURABLE_MAX }, where: '' }),
      ...exposedFigures(rounds),
      ...blockedFigures(rounds),
      ...cpuFigures(rounds),
      ...conditions(rounds),
    },
    trials: { links: rounds },
    plots: {
      timeline: timelinePlot(
        rounds,
        `A checkpoint of ${shown(rig.options.checkpoint.sizeBytes / MB)} MB from ${options.nodes} nodes`,
      ),
    },
  };
}

/** One node has everything to bring away, and the origin takes as much as all nodes together can bring. */
export async function unevenPart(options: FanOutWriteOptions, progress: Progress): Promise<Part> {
  const candidates = (['checkpoint', 'adopt', 'local', 'async'] as const).filter((one) =>
    options.candidates.includes(one),
  );
  if (!candidates.some(needsForebay)) return { figures: {}, trials: {} };
  const originLinks = Math.max(options.originLinks, options.nodes);
  const checkpoint = checkpointFor(options, { uneven: true });
  progress.say('uneven: one node writes everything');
  await using rig = await Rig.open(rigOptions(options, { checkpoint, place: 'memory', originLinks }));
  const count = Math.min(options.rounds, UNEVEN_ROUNDS_MAX);
  const rounds = await runRounds(rig, { what: 'uneven', count, candidates }, progress);
  const where = `, one of ${options.nodes} nodes writes everything, an origin of ${shown(originLinks)} links`;
  return {
    figures: durableFigures(rounds, { suffix: 'Uneven', target: { atMost: DURABLE_UNEVEN_MAX }, where }),
    trials: { uneven: rounds },
    plots: { uneven: timelinePlot(rounds, `The same from one of ${options.nodes} nodes`) },
  };
}

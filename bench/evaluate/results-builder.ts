/** Builds results as an evaluation would leave them, for tests: trials that drift and jitter like a real machine's, figures made of them. */
import { bootstrap, seededFraction } from '../statistics.ts';
import {
  type CandidateEntry,
  type Cell,
  type CellStatus,
  type EvaluatedFigure,
  type EvaluatedScenario,
  figureId,
  MEASURES,
  type Measure,
  type Results,
  type ScenarioName,
  type Trial,
} from './results.ts';

interface BuiltCell {
  readonly status?: CellStatus;
  readonly reason?: string;
  readonly offset?: number;
  /** Seconds that it takes on a quiet machine, in the order of `MEASURES`. */
  readonly seconds?: readonly number[];
  readonly originBytesRatio?: number;
  readonly isBusy?: boolean;
}

export interface BuiltCandidate extends CandidateEntry {
  readonly 'fan-out-read'?: BuiltCell;
  readonly 'fan-out-write'?: BuiltCell;
  readonly 'fan-in-read'?: BuiltCell;
}

const SCENARIOS: readonly EvaluatedScenario[] = [
  { name: 'fan-out-read', sizeBytes: 64 << 20, weights: { makespanS: 3 } },
  { name: 'fan-out-write', sizeBytes: 105 << 20, weights: { blockedS: 1, safeS: 1, durableS: 0.5, restoreS: 0.5 } },
  { name: 'fan-in-read', sizeBytes: 64 << 20, weights: { gatherS: 3 } },
];

/** What a small cluster of eight nodes behind 250 Mbit/s links would show. */
export const USUAL: readonly BuiltCandidate[] = [
  {
    name: 'forebay',
    kind: 'forebay',
    about: 'Forebay, steps adopted at level replicated',
    copies: 2,
    speaks: ['s3', 'path', 'resp'],
    'fan-out-read': { seconds: [2.6], originBytesRatio: 1 },
    'fan-out-write': { seconds: [0.9, 0.9, 4.1, 0.8], originBytesRatio: 0 },
    'fan-in-read': { seconds: [2.3, 0.4], originBytesRatio: 0 },
  },
  {
    name: 'origin',
    kind: 'origin',
    about: 'every node asks the origin directly',
    copies: 0,
    'fan-out-read': { seconds: [17.2], originBytesRatio: 8 },
    'fan-out-write': { seconds: [5.2, 5.2, 5.2, 0.9], originBytesRatio: 1 },
    'fan-in-read': { seconds: [2.5, 2.4], originBytesRatio: 1 },
  },
  {
    name: 'async-copy',
    kind: 'async-copy',
    about: 'local disk, copied to the origin in the background',
    copies: 1,
    'fan-out-read': { status: 'not applicable', reason: 'it only writes' },
    'fan-out-write': { seconds: [0.2, 4.6, 4.6, 0.9], originBytesRatio: 0 },
    'fan-in-read': { status: 'not applicable', reason: 'it only writes' },
  },
  {
    name: 'rclone mount',
    kind: 'posix',
    about: 'rclone mount with --vfs-cache-mode full',
    'fan-out-read': { seconds: [17.9], originBytesRatio: 8 },
    'fan-out-write': { seconds: [3, 6.1, 6.1, 1.1], originBytesRatio: 0 },
    'fan-in-read': { seconds: [3.4, 2.9], originBytesRatio: 1 },
  },
  {
    name: 'redis-server',
    kind: 'resp',
    about: 'one Redis on one node',
    copies: 1,
    'fan-out-read': { status: 'not applicable', reason: 'a Redis has no objects of an origin' },
    'fan-out-write': { status: 'not applicable', reason: 'a Redis has no checkpoints' },
    'fan-in-read': { seconds: [2.4, 2.2], originBytesRatio: 0 },
  },
  {
    name: 'flipper',
    kind: 'exec',
    about: 'a script that serves a changed byte',
    'fan-out-read': { status: 'failed', reason: 'wrong bytes on node 3', offset: 4096 },
    'fan-out-write': { status: 'not applicable' },
    'fan-in-read': { status: 'not cold', reason: 'it served 64 MiB of which the origin saw nothing' },
  },
  { name: 'Alluxio', kind: 'documented', about: 'cache of workers with a hash ring' },
];

/** Five rounds by default. `seed` changes the noise, nothing else. */
export function buildResults(
  options: {
    readonly candidates?: readonly BuiltCandidate[];
    readonly rounds?: number;
    readonly seed?: number;
    readonly scenarios?: readonly EvaluatedScenario[];
  } = {},
): Results {
  const { candidates = USUAL, rounds = 5, seed = 1, scenarios = SCENARIOS } = options;
  const next = seededFraction(seed);
  const trials: Trial[] = [];
  const cells: Cell[] = [];
  for (const { name: scenario } of scenarios) {
    for (const candidate of candidates) cells.push(cellFor(scenario, candidate));
    for (let round = 0; round < rounds; round++) {
      const drift = 1.2 + 0.4 * Math.sin(round);
      for (const candidate of candidates)
        trials.push(...trialFor(scenario, candidate, { round, slowness: () => drift * (0.97 + 0.06 * next()) }));
    }
  }
  return {
    format: 1,
    name: 'fixture',
    question: 'Which one cache should sit between our GPUs and Blob storage?',
    command: 'forebay evaluate evaluations/quick.toml',
    environment: {
      date: '2026-11-23T05:00:00.000Z',
      commit: '0123456789ab',
      node: 'v26.10.0',
      kernel: '6.18.0',
      cores: 2,
      cpu: 'a processor',
      memoryGiB: 8,
      fileSystem: 'ext4',
    },
    shaping: 'kernel (tbf in network namespaces)',
    nodes: 8,
    linkMbit: 250,
    originLinks: 1,
    rounds,
    candidates: candidates.map(({ 'fan-out-read': _r, 'fan-out-write': _w, 'fan-in-read': _g, ...entry }) => entry),
    scenarios,
    cells,
    figures: figuresOf(trials, candidates),
    trials,
  };
}

const builtCell = (scenario: ScenarioName, candidate: BuiltCandidate): BuiltCell =>
  candidate[scenario] ?? { status: 'not run', reason: 'it cannot be run here' };

function cellFor(scenario: ScenarioName, candidate: BuiltCandidate): Cell {
  const { status = 'measured', reason, offset } = builtCell(scenario, candidate);
  return {
    candidate: candidate.name,
    scenario,
    status,
    ...(reason !== undefined && { reason }),
    ...(offset !== undefined && { offset }),
  };
}

function trialFor(
  scenario: ScenarioName,
  candidate: BuiltCandidate,
  { round, slowness }: { round: number; slowness: () => number },
): Trial[] {
  const cell = cellFor(scenario, candidate);
  if (cell.status === 'not run' || cell.status === 'not applicable') return [];
  const { seconds = [], originBytesRatio } = builtCell(scenario, candidate);
  const factor = slowness();
  return [
    {
      ...cell,
      round,
      values: Object.fromEntries(
        (MEASURES[scenario] as readonly Measure[]).flatMap((measure, i) =>
          seconds[i] === undefined ? [] : [[measure, seconds[i] * factor]],
        ),
      ),
      ...(originBytesRatio !== undefined && { originBytesRatio, originRequests: Math.round(64 * originBytesRatio) }),
      cpuBusy: 0.4,
    },
  ];
}

function figuresOf(trials: readonly Trial[], candidates: readonly BuiltCandidate[]): EvaluatedFigure[] {
  return candidates.flatMap((candidate) =>
    (Object.keys(MEASURES) as ScenarioName[]).flatMap((scenario) => {
      const own = trials.filter((trial) => trial.scenario === scenario && trial.candidate === candidate.name);
      if (!own.some(({ status }) => status === 'measured')) return [];
      return [...(MEASURES[scenario] as readonly Measure[]), 'originBytesRatio' as const].flatMap((measure) => {
        const values = own.flatMap((trial) =>
          measure === 'originBytesRatio' ? (trial.originBytesRatio ?? []) : (trial.values[measure] ?? []),
        );
        if (values.length === 0) return [];
        const unit = measure === 'originBytesRatio' ? ('' as const) : ('s' as const);
        const isBusy = candidate[scenario]?.isBusy ?? false;
        const about = { candidate: candidate.name, scenario, measure, unit, trials: values.length, isBusy };
        return [{ id: figureId(scenario, candidate.name, measure), ...about, ...bootstrap(values) }];
      });
    }),
  );
}

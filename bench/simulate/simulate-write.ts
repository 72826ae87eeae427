/** `forebay simulate fan-out-write`: checkpoints of real size by the shipped policies, beside an async copy. */
import { parseArgs } from 'node:util';
import { type FanOutWriteFigures, simulateFanOutWrite } from '../../sim/fan-out-write/fan-out-write.ts';
import { type FanOutWriteParameters, totalBytes } from '../../sim/fan-out-write/parameters.ts';
import { checkpointOf, PROFILE_NAMES, PROFILES, type ProfileName } from '../fan-out-write/checkpoint.ts';
import { spansSvg } from '../plot.ts';
import { alignedTable, type Figure, shown, single } from '../result.ts';
import { numberOf, type OptionValues, WrongUse } from '../scenario.ts';
import { reportSimulation, type Simulated } from './report.ts';

const LINK_GBIT = 100;
const ORIGIN_GBIT = 60;
const DISK_GB = 5;
const RANKS_PER_NODE = 8;

const USAGE = `forebay simulate fan-out-write [--profile 405b] [--nodes N] …

  One checkpoint in the shape of MLPerf Storage, by the shipped policies (replica groups, drain order, parts, limits) and by an
  async copy of the same files. A file counts as safe with its record committed, a step with all of its files.

  --profile NAME      ${PROFILE_NAMES.join(', ')} (default: 405b)
  --scale N           bytes are divided by N (default: 1)
  --nodes N           2 to 1,024 (default: ${RANKS_PER_NODE} ranks a node)
  --uneven            one node writes everything
  --replicas N        copies, the writer's counted (default: 2)
  --link-gbit X       a node's link (default: ${LINK_GBIT})
  --origin-gbit X     what the origin takes, and gives, of all nodes together (default: ${ORIGIN_GBIT})
  --disk-gb X         GB/s that a node's disk writes and syncs (default: ${DISK_GB})
  --latency-ms X      of a message, one way (default: 0.25)
  --origin-ms X       of a small request to the origin (default: 20)
  --sweep             405b on 64 nodes and 1t on 128, with an origin of 25, 60 and 400 Gbit/s
  --json FILE         write the result to FILE
  --plot FILE         write a plot (SVG) to FILE
`;

const OPTIONS = {
  profile: { type: 'string' },
  scale: { type: 'string' },
  nodes: { type: 'string' },
  uneven: { type: 'boolean', default: false },
  replicas: { type: 'string' },
  'link-gbit': { type: 'string' },
  'origin-gbit': { type: 'string' },
  'disk-gb': { type: 'string' },
  'latency-ms': { type: 'string' },
  'origin-ms': { type: 'string' },
  sweep: { type: 'boolean', default: false },
  json: { type: 'string' },
  plot: { type: 'string' },
  help: { type: 'boolean', default: false },
} as const;

const GBIT_BYTES = 1e9 / 8;
const ZONES = 8;
const GB = 1e9;

interface Case {
  readonly profile: ProfileName;
  readonly nodes: number;
  readonly parameters: FanOutWriteParameters;
}

function parse(argv: readonly string[]): OptionValues {
  try {
    const { values, positionals } = parseArgs({ args: [...argv], allowPositionals: true, options: OPTIONS });
    if (positionals.length > 1) throw new WrongUse(`one scenario at a time: ${positionals.join(' ')}`);
    return values;
  } catch (error) {
    throw error instanceof WrongUse ? error : new WrongUse((error as Error).message);
  }
}

function caseOf(values: OptionValues, change: { profile?: ProfileName; originGbit?: number } = {}): Case {
  const named = change.profile ?? values['profile'] ?? '405b';
  const profile = PROFILE_NAMES.find((known) => known === named);
  if (profile === undefined)
    throw new WrongUse(`--profile ${String(named)}: expected one of ${PROFILE_NAMES.join(', ')}`);
  const any = (name: string, min: number, max: number, otherwise: number) =>
    numberOf(values, name, { min, max, whole: false }) ?? otherwise;
  const asked = change.profile === undefined ? numberOf(values, 'nodes', { min: 2, max: 1024 }) : undefined;
  const nodes = asked ?? Math.max(2, PROFILES[profile].ranks / RANKS_PER_NODE);
  const scale = numberOf(values, 'scale', { min: 1, max: 1 << 20 }) ?? 1;
  const checkpoint = checkpointOf({ profile, scale, nodes, uneven: values['uneven'] === true });
  return {
    profile,
    nodes,
    parameters: {
      nodes: checkpoint.nodes.map((ranks) => ranks.map((files) => files.map(({ sizeBytes }) => sizeBytes))),
      linkBytesPerS: any('link-gbit', 0.01, 10_000, LINK_GBIT) * GBIT_BYTES,
      originBytesPerS: (change.originGbit ?? any('origin-gbit', 0.01, 100_000, ORIGIN_GBIT)) * GBIT_BYTES,
      diskBytesPerS: any('disk-gb', 0.01, 1000, DISK_GB) * GB,
      latencyMs: any('latency-ms', 0, 1000, 0.25),
      originMs: any('origin-ms', 0, 60_000, 20),
      replicas: numberOf(values, 'replicas', { min: 2, max: Math.min(5, nodes) }) ?? 2,
      zones: Math.min(ZONES, nodes),
    },
  };
}

const seconds = (ms: number): number => ms / 1000;

function figuresOf(run: FanOutWriteFigures): Record<string, Figure> {
  const { ours, copy } = run;
  const s = (ms: number, beside: string) => single(seconds(ms), 's', { beside });
  const ratio = (value: number, beside: string) => single(value, '', { beside });
  return {
    stallRatio: ratio(ours.blockedMs / copy.blockedMs, `ranks wait ${shown(seconds(ours.blockedMs))} s`),
    safeS: s(ours.safeMs, `floor ${shown(seconds(run.safeFloorMs))} s`),
    exposedS: s(ours.safeMs - ours.blockedMs, 'a dead node loses the step'),
    asyncExposedS: s(copy.durableMs - copy.blockedMs, 'the same with an async copy'),
    durableS: s(ours.durableMs, `async copy ${shown(seconds(copy.durableMs))} s`),
    durableRatio: ratio(
      (ours.durableMs - ours.safeMs) / (copy.durableMs - copy.blockedMs),
      "from the checkpoint's commit, ÷ the copy's from its local write",
    ),
    durableFromSaveRatio: ratio(
      (ours.durableMs - ours.blockedMs) / (copy.durableMs - copy.blockedMs),
      'both since the ranks went on',
    ),
    restoreNodeS: s(
      run.restoreNodeMs,
      `a lost node's share from replicas; from the origin ${shown(seconds(run.copyRestoreNodeMs))} s`,
    ),
    restoreAllS: s(
      run.restoreAllMs,
      `every node its neighbour's; from the origin ${shown(seconds(run.copyRestoreAllMs))} s`,
    ),
    commits: single(run.commits, '', { beside: `in ${run.transactions} transactions` }),
    commitsPerS: single(run.commitsPerS, '1/s', { beside: 'in the busiest second' }),
  };
}

function plotOf({ profile, nodes }: Case, { ours, copy }: FanOutWriteFigures): string {
  const row = (label: string, { blockedMs, safeMs, durableMs }: FanOutWriteFigures['ours']) => ({
    label,
    spans: [
      { from: 0, to: seconds(blockedMs), kind: 0 },
      { from: seconds(blockedMs), to: seconds(safeMs), kind: 1 },
      { from: seconds(safeMs), to: seconds(durableMs), kind: 2 },
    ].filter(({ from, to }) => to > from),
    note: `durable ${shown(seconds(durableMs))} s`,
  });
  return spansSvg({
    title: `A checkpoint of ${profile.toUpperCase()} from ${nodes} nodes, simulated`,
    unit: 's',
    kinds: ['ranks blocked', 'exposed', 'safe'],
    rows: [row('Forebay', ours), row('local + async copy', copy)],
  });
}

const SWEEP_ORIGINS = [25, 60, 400] as const;

function sweep(values: OptionValues, say: (what: string) => void): Simulated {
  const rows: string[][] = [
    [
      'profile',
      'nodes',
      'origin Gbit/s',
      'blocked s',
      'safe s',
      'durable s',
      'copy exposed s',
      'copy durable s',
      'restore node s',
      'restore all s',
      'from origin s',
      'commits/s',
    ],
  ];
  const figures: Record<string, Figure> = {};
  const trials: unknown[] = [];
  let plot = '';
  for (const profile of ['405b', '1t'] as const)
    for (const originGbit of SWEEP_ORIGINS) {
      say(`${profile}, an origin of ${originGbit} Gbit/s`);
      const simulated = caseOf(values, { profile, originGbit });
      const run = simulateFanOutWrite(simulated.parameters);
      const { ours, copy } = run;
      const cells = [ours.blockedMs, ours.safeMs, ours.durableMs, copy.durableMs - copy.blockedMs, copy.durableMs].map(
        seconds,
      );
      const restores = [run.restoreNodeMs, run.restoreAllMs, run.copyRestoreAllMs].map(seconds);
      const numbers = [...cells, ...restores, run.commitsPerS].map(shown);
      rows.push([profile, String(simulated.nodes), String(originGbit), ...numbers]);
      for (const [name, value] of Object.entries(figuresOf(run))) figures[`${name} ${profile} ${originGbit}`] = value;
      trials.push({ profile, originGbit, run });
      if (originGbit === ORIGIN_GBIT) plot = plotOf(simulated, run);
    }
  return { figures, trials: { run: trials }, plot, table: alignedTable(rows) };
}

export function simulateWriteMain(argv: readonly string[]): number {
  return reportSimulation('fan-out-write', USAGE, () => {
    const values = parse(argv);
    if (values['help'] === true) return 'help';
    const asked = caseOf(values);
    const { nodes: _, ...conditions } = asked.parameters;
    const { profile, nodes } = asked;
    const sizeBytes = totalBytes(asked.parameters);
    return {
      values,
      parameters: { profile, nodes, sizeBytes, ...conditions, uneven: values['uneven'], sweep: values['sweep'] },
      run: (progress) => {
        if (values['sweep'] === true) return sweep(values, (what) => progress.say(what));
        const run = simulateFanOutWrite(asked.parameters);
        return { figures: figuresOf(run), trials: { run: [run] }, plot: plotOf(asked, run) };
      },
    };
  });
}

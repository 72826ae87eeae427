/** `forebay simulate fan-in-read`: gathers of any number of readers by the shipped directory and budgets, beside one node that has everything. */
import { parseArgs } from 'node:util';
import { type FanInFigures, type GatherFigures, simulateFanIn } from '../../sim/fan-in/fan-in.ts';
import type { FanInParameters } from '../../sim/fan-in/parameters.ts';
import { kvPeerMs } from '../../src/core/kv-limits.ts';
import { barsSvg, seriesSvg } from '../plot.ts';
import { alignedTable, type Figure, shown, single } from '../result.ts';
import { numberOf, type OptionValues, WrongUse } from '../scenario.ts';
import { quantile } from '../statistics.ts';
import { reportSimulation, type Simulated } from './report.ts';

const NODES = 9;
const VALUES = 64;
const LINK_GBIT = 10;
const GBIT_BYTES = 1e9 / 8;
const MIB = 2 ** 20;
/** A value below this travels inside messages, which are not simulated. */
const VALUE_MIN_MIB = 0.0625;
const HOLDERS = 8;

const USAGE = `forebay simulate fan-in-read [--nodes N] [--readers R] [--values K] …

  R readers gather K values each at the same time, from other nodes, by the shipped placement, key directory, slots and budgets; beside
  it one node that has everything. The floor of a reader is its values ÷ its link.

  --nodes N           2 to 4,096 (default: ${NODES})
  --readers R         of the nodes (default: 1)
  --values K          of each reader (default: ${VALUES})
  --value-mib X       (default: 1)
  --holders N         nodes that have a reader's values (default: ${HOLDERS})
  --link-gbit X       a node's link (default: ${LINK_GBIT})
  --latency-ms X      of a message, one way (default: 0.25)
  --slow N            this many nodes have a tenth of the bandwidth
  --dead N            this many nodes died just now
  --peer-ms N         how long a peer that does not answer is waited for (default: ${kvPeerMs})
  --seed S            (default: 1)
  --sweep             9 to 1,024 nodes, one to all of them reading, values of 1 and 16 MiB
  --json FILE         write the result to FILE
  --plot FILE         write a plot (SVG) to FILE
`;

const OPTIONS = {
  nodes: { type: 'string' },
  readers: { type: 'string' },
  values: { type: 'string' },
  'value-mib': { type: 'string' },
  holders: { type: 'string' },
  'link-gbit': { type: 'string' },
  'latency-ms': { type: 'string' },
  slow: { type: 'string' },
  dead: { type: 'string' },
  'peer-ms': { type: 'string' },
  seed: { type: 'string' },
  sweep: { type: 'boolean', default: false },
  json: { type: 'string' },
  plot: { type: 'string' },
  help: { type: 'boolean', default: false },
} as const;

function parse(argv: readonly string[]): OptionValues {
  try {
    const { values, positionals } = parseArgs({ args: [...argv], allowPositionals: true, options: OPTIONS });
    if (positionals.length > 1) throw new WrongUse(`one scenario at a time: ${positionals.join(' ')}`);
    return values;
  } catch (error) {
    throw error instanceof WrongUse ? error : new WrongUse((error as Error).message);
  }
}

function parametersOf(values: OptionValues): FanInParameters {
  const whole = (name: string, min: number, max: number, otherwise: number) =>
    numberOf(values, name, { min, max }) ?? otherwise;
  const any = (name: string, min: number, max: number, otherwise: number) =>
    numberOf(values, name, { min, max, whole: false }) ?? otherwise;
  const nodes = whole('nodes', 2, 4096, NODES);
  const dead = whole('dead', 0, nodes - 2, 0);
  const slow = whole('slow', 0, nodes - 2 - dead, 0);
  return {
    nodes,
    dead,
    slow,
    readers: whole('readers', 1, nodes - dead - slow, 1),
    values: whole('values', 1, 4096, VALUES),
    valueBytes: Math.round(any('value-mib', VALUE_MIN_MIB, 512, 1) * MIB),
    holders: whole('holders', 1, nodes - 1, Math.min(HOLDERS, nodes - 1)),
    linkBytesPerS: any('link-gbit', 0.01, 1000, LINK_GBIT) * GBIT_BYTES,
    latencyMs: any('latency-ms', 0, 1000, 0.25),
    peerMs: whole('peer-ms', 1, 60_000, kvPeerMs),
    seed: whole('seed', 0, Number.MAX_SAFE_INTEGER, 1),
  };
}

const of = (run: FanInFigures, value: (gather: GatherFigures) => number, at: number): number =>
  quantile(run.gathers.map(value), at);

const ms = ({ ms: took }: GatherFigures): number => took;

interface Told {
  readonly efficiency: number;
  readonly lastEfficiency: number;
  readonly speedup: number;
  readonly lookupMs: number;
  readonly messagesPerValue: number;
}

function told(run: FanInFigures, { values, latencyMs }: FanInParameters): Told {
  const last = of(run, ms, 1);
  return {
    efficiency: run.floorMs / of(run, ms, 0.5),
    lastEfficiency: run.floorMs / last,
    speedup: (run.oneNodeMs + 2 * latencyMs) / last,
    lookupMs: of(run, (gather) => gather.lookupMs, 0.5),
    messagesPerValue: of(run, (gather) => gather.messages, 0.5) / values,
  };
}

function figuresOf(run: FanInFigures, parameters: FanInParameters): Record<string, Figure> {
  const { efficiency, lastEfficiency, speedup, lookupMs, messagesPerValue } = told(run, parameters);
  const sum = (value: (gather: GatherFigures) => number) => run.gathers.reduce((total, each) => total + value(each), 0);
  return {
    gatherEfficiency: single(efficiency, '', {
      beside: `median ${shown(of(run, ms, 0.5))} ms, floor ${shown(run.floorMs)} ms`,
    }),
    gatherEfficiencyLast: single(lastEfficiency, '', {
      beside: `the last reader ended after ${shown(of(run, ms, 1))} ms`,
    }),
    gatherSpeedup: single(speedup, '×', {
      beside: `all readers together, over one node that has everything: ${shown(run.oneNodeMs)} ms`,
    }),
    lookupMs: single(lookupMs, 'ms', { beside: `slowest ${shown(of(run, (gather) => gather.lookupMs, 1))} ms` }),
    messagesPerValue: single(messagesPerValue, ''),
    misses: single(
      sum(({ misses }) => misses),
      '',
      { beside: 'values of which nobody who answered knew' },
    ),
    refused: single(
      sum(({ refused }) => refused),
      '',
      { beside: 'pulls that found no slot at their holder' },
    ),
  };
}

const SWEEP_NODES = [9, 64, 256, 1024] as const;
const SWEEP_MIB = [1, 16] as const;

function sweep(base: FanInParameters, say: (what: string) => void): Simulated {
  const head = ['nodes', 'readers', 'MiB', 'efficiency', 'last', 'over one node', 'lookup ms', 'messages per value'];
  const rows: string[][] = [head];
  const figures: Record<string, Figure> = {};
  const trials: unknown[] = [];
  const lines = new Map<string, [number, number][]>();
  for (const mib of SWEEP_MIB)
    for (const nodes of SWEEP_NODES)
      for (const readers of new Set([1, Math.ceil(nodes / 8), nodes])) {
        say(`${nodes} nodes, ${readers} readers, ${mib} MiB`);
        const parameters = { ...base, nodes, readers, valueBytes: mib * MIB, holders: nodes - 1, slow: 0, dead: 0 };
        const run = simulateFanIn(parameters);
        const { efficiency, lastEfficiency, speedup, lookupMs, messagesPerValue } = told(run, parameters);
        const numbers = [nodes, readers, mib, efficiency, lastEfficiency, speedup, lookupMs, messagesPerValue];
        rows.push(numbers.map(shown));
        const suffix = `${nodes} ${readers} ${mib}MiB`;
        figures[`gatherEfficiency ${suffix}`] = single(efficiency, '');
        figures[`gatherSpeedup ${suffix}`] = single(speedup, '×');
        const share = readers === 1 ? 'one reader' : readers === nodes ? 'all read' : 'an eighth read';
        const line = `${share}, ${mib} MiB`;
        lines.set(line, [...(lines.get(line) ?? []), [Math.log2(nodes), efficiency]]);
        trials.push({ parameters, efficiency, lastEfficiency, speedup, lookupMs, messagesPerValue });
      }
  const plot = seriesSvg({
    title: 'Gathers: floor ÷ median time, simulated',
    x: 'log₂ of the nodes',
    y: 'efficiency',
    series: Array.from(lines, ([label, points]) => ({ label, points })).filter(({ label }) => label.endsWith(' 1 MiB')),
  });
  return { figures, trials: { run: trials }, plot, table: alignedTable(rows) };
}

function one(parameters: FanInParameters): Simulated {
  const run = simulateFanIn(parameters);
  const { nodes, readers, values, valueBytes } = parameters;
  return {
    figures: figuresOf(run, parameters),
    trials: { run: [run] },
    plot: barsSvg({
      title: `${readers} of ${nodes} nodes gather ${values} values of ${shown(valueBytes / MIB)} MiB, simulated`,
      unit: 'ms',
      bars: [
        { label: 'floor of one reader', value: run.floorMs },
        { label: 'Forebay, median', value: of(run, ms, 0.5), low: of(run, ms, 0), high: of(run, ms, 1) },
        { label: 'one node has all', value: run.oneNodeMs },
      ],
    }),
  };
}

export function simulateGatherMain(argv: readonly string[]): number {
  return reportSimulation('fan-in-read', USAGE, () => {
    const values = parse(argv);
    if (values['help'] === true) return 'help';
    const parameters = parametersOf(values);
    const isSweep = values['sweep'] === true;
    return {
      values,
      parameters: { ...parameters, sweep: isSweep },
      run: (progress) => (isSweep ? sweep(parameters, (what) => progress.say(what)) : one(parameters)),
    };
  });
}

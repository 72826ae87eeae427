/**
 * `forebay simulate fan-out-read | fan-out-write | fan-in-read`: the shipped policies on simulated links, with sizes instead of bytes, from one
 * seed. Exit code 0: simulated, and nothing was missed; 1: a target was missed, or it failed; 2: wrong use.
 */
import { parseArgs } from 'node:util';
import { POLICIES, type PolicyName } from '../../sim/fan-out/fan-out.ts';
import type { FanOutParameters } from '../../sim/fan-out/world.ts';
import type { Progress } from '../progress.ts';
import { numberOf, type OptionValues, WrongUse } from '../scenario.ts';
import { reportSimulation, type Simulated } from './report.ts';
import { simulateGatherMain } from './simulate-gather.ts';
import { simulateWriteMain } from './simulate-write.ts';
import { runCase } from './simulated-case.ts';
import { runSweep } from './sweep.ts';

const USAGE = `forebay simulate fan-out-read [--nodes N] [--chunks M] [--origin-links X] …

  One object of M chunks goes to N nodes; the makespan is compared with the floor
  max(S/B_origin, S/B, N·S/(B_origin + N·B)), with spread arrivals the last arrival + S/B.

  --nodes N           2 to 10,000 (default: 8)
  --chunks M          (default: 64)
  --origin-links X    the origin's bandwidth in links of a node (default: 1)
  --policy NAME       ${POLICIES.join(', ')} (default: dealt, also for spread arrivals)
  --spread F          nodes arrive evenly over this share of S/B (default: 0)
  --slow N            this many nodes have a tenth of the bandwidth
  --kill F            this share of the nodes dies midway
  --link-gbit X       a node's link (default: 10)
  --chunk-mib N       (default: 16)
  --latency-ms X      of a message, one way (default: 0.25)
  --detect-ms N       until the peers of a dead node give it up (default: 1000)
  --seed S            (default: 1)
  --sweep             the table of all policies and sizes, and all cases with a target; takes a while
  --json FILE         write the result to FILE
  --plot FILE         write a plot (SVG) to FILE
`;

const OPTIONS = {
  nodes: { type: 'string' },
  chunks: { type: 'string' },
  'origin-links': { type: 'string' },
  policy: { type: 'string' },
  spread: { type: 'string' },
  slow: { type: 'string' },
  kill: { type: 'string' },
  'link-gbit': { type: 'string' },
  'chunk-mib': { type: 'string' },
  'latency-ms': { type: 'string' },
  'detect-ms': { type: 'string' },
  seed: { type: 'string' },
  sweep: { type: 'boolean', default: false },
  json: { type: 'string' },
  plot: { type: 'string' },
  help: { type: 'boolean', default: false },
} as const;

const GBIT_BYTES = 1e9 / 8;
const MIB = 2 ** 20;
/** After this a session counts as dead: `sessionTtlMs` of the daemon. */
const LEASE_MS = 10_000;

function parse(argv: readonly string[]): OptionValues {
  try {
    const { values, positionals } = parseArgs({ args: [...argv], allowPositionals: true, options: OPTIONS });
    if (values.help) return values;
    const [scenario, ...more] = positionals;
    if (scenario !== 'fan-out-read' || more.length > 0)
      throw new WrongUse(
        scenario === undefined
          ? 'name a scenario: fan-out-read, fan-out-write or fan-in-read'
          : `unknown scenario: ${positionals.join(' ')}`,
      );
    return values;
  } catch (error) {
    throw error instanceof WrongUse ? error : new WrongUse((error as Error).message);
  }
}

/** Throws WrongUse. */
export function parametersOf(values: OptionValues): FanOutParameters {
  const whole = (name: string, min: number, max: number, otherwise: number) =>
    numberOf(values, name, { min, max }) ?? otherwise;
  const any = (name: string, min: number, max: number, otherwise: number) =>
    numberOf(values, name, { min, max, whole: false }) ?? otherwise;
  const nodes = whole('nodes', 2, 10_000, 8);
  const kill = any('kill', 0, 0.9, 0);
  const slow = whole('slow', 0, nodes - 1, 0);
  return {
    nodes,
    chunks: whole('chunks', 1, 65_536, 64),
    originLinks: any('origin-links', 0.01, 10_000, 1),
    chunkBytes: whole('chunk-mib', 1, 1024, 16) * MIB,
    linkBytesPerS: any('link-gbit', 0.01, 1000, 10) * GBIT_BYTES,
    latencyMs: any('latency-ms', 0, 1000, 0.25),
    spread: any('spread', 0, 100, 0),
    slow,
    kill,
    detectMs: whole('detect-ms', 1, 600_000, 1000),
    leaseMs: LEASE_MS,
    seed: whole('seed', 0, Number.MAX_SAFE_INTEGER, 1),
  };
}

function policyOf(values: OptionValues, { kill }: FanOutParameters): PolicyName {
  const name = values['policy'] ?? 'dealt';
  const policy = POLICIES.find((known) => known === name);
  if (policy === undefined) throw new WrongUse(`--policy ${String(name)}: expected one of ${POLICIES.join(', ')}`);
  if (policy === 'ring' && kill > 0) throw new WrongUse('the ring has no answer to dead owners: leave --kill out');
  return policy;
}

function simulate(values: OptionValues, progress: Progress): Simulated {
  const parameters = parametersOf(values);
  const policy = policyOf(values, parameters);
  if (values['sweep'] === true)
    return runSweep(parameters, (what, done, total) => progress.say(`${what} (${done} of ${total})`));
  const { run, figures, plot } = runCase({ policy, parameters });
  return { figures, plot, trials: { run: [run] } };
}

const scenarioOf = (argv: readonly string[]) => argv.find((argument) => !argument.startsWith('-'));

export function simulateMain(argv: readonly string[]): number {
  if (scenarioOf(argv) === 'fan-out-write') return simulateWriteMain(argv);
  if (scenarioOf(argv) === 'fan-in-read') return simulateGatherMain(argv);
  return reportSimulation('fan-out-read', USAGE, () => {
    const values = parse(argv);
    if (values['help'] === true) return 'help';
    const policy = values['policy'] ?? 'dealt';
    return {
      values,
      parameters: { ...parametersOf(values), policy, sweep: values['sweep'] },
      run: (progress) => simulate(values, progress),
    };
  });
}

/** `forebay simulate fan-out-read --sweep`: the table of policies, sizes and origins, and every case that has a target. */
import type { PolicyName } from '../../sim/fan-out/fan-out.ts';
import type { FanOutParameters } from '../../sim/fan-out/world.ts';
import { barsSvg } from '../plot.ts';
import { alignedTable, type Figure, shown } from '../result.ts';
import { type CaseOutcome, runCase } from './simulated-case.ts';

interface SweepCase {
  readonly policy: PolicyName;
  readonly name: string;
  readonly change: Partial<FanOutParameters>;
}

const SIZES = [
  [8, 64],
  [64, 256],
  [1024, 1024],
  [10_000, 256],
] as const;
const ORIGINS = [1, 8] as const;
/** Origins for which there is a target. */
const TARGET_ORIGINS = [1, 2, 8] as const;
/** Every simulated node is an owner that knows every other one: memory grows with the square. */
const DIRECTORY_NODES_MAX = 1024;

/** Cases with a target, and that of ten thousand nodes. */
const CLAIMS: readonly SweepCase[] = [
  ...TARGET_ORIGINS.flatMap((originLinks) => [
    [`8 nodes, origin ${originLinks}`, { nodes: 8, chunks: 64, originLinks }],
    [`64 nodes, origin ${originLinks}`, { nodes: 64, chunks: 1024, originLinks }],
    [`1,024 nodes, origin ${originLinks}`, { nodes: 1024, chunks: 1024, originLinks }],
  ]),
  ['10,000 nodes', { nodes: 10_000, chunks: 1024, originLinks: 8 }],
  ['8 nodes, spread', { nodes: 8, chunks: 64, originLinks: 1, spread: 1 / 3 }],
  ['64 nodes, spread', { nodes: 64, chunks: 256, originLinks: 1, spread: 1 / 3 }],
  ['1,024 nodes, spread', { nodes: 1024, chunks: 1024, originLinks: 8, spread: 1 / 3 }],
  ['8 nodes, one slow', { nodes: 8, chunks: 64, originLinks: 1, slow: 1 }],
  ['64 nodes, one slow', { nodes: 64, chunks: 256, originLinks: 1, slow: 1 }],
  ['64 nodes, 5 % die', { nodes: 64, chunks: 1024, originLinks: 2, kill: 0.05 }],
  ['1,024 nodes, 5 % die', { nodes: 1024, chunks: 1024, originLinks: 8, kill: 0.05 }],
].map(([name, change]) => ({ policy: 'dealt', name: name as string, change: change as Partial<FanOutParameters> }));

function tableCases(): SweepCase[] {
  const cases: SweepCase[] = [];
  for (const policy of ['ring', 'directory', 'dealt'] as const)
    for (const [nodes, chunks] of SIZES)
      for (const originLinks of ORIGINS)
        if (policy === 'dealt' || nodes <= DIRECTORY_NODES_MAX)
          cases.push({ policy, name: cellName(policy, nodes, originLinks), change: { nodes, chunks, originLinks } });
  return cases;
}

const cellName = (policy: string, nodes: number, originLinks: number) => `${policy} ${nodes} ${originLinks}`;

export interface SweepOutcome {
  readonly table: string;
  readonly figures: Readonly<Record<string, Figure>>;
  readonly trials: Readonly<Record<string, readonly unknown[]>>;
  readonly plot: string;
}

/** Runs all, one after the other; `say` is told of each. */
export function runSweep(
  base: FanOutParameters,
  say: (what: string, done: number, total: number) => void,
): SweepOutcome {
  const cases = [...CLAIMS, ...tableCases()];
  const outcomes = new Map<string, CaseOutcome>();
  const figures: Record<string, Figure> = {};
  const trials: Record<string, readonly unknown[]> = {};
  for (const [index, { policy, name, change }] of cases.entries()) {
    say(`${policy}: ${name}`, index + 1, cases.length);
    const outcome = runCase({ policy, parameters: { ...base, ...change } });
    outcomes.set(name, outcome);
    const { samples: _, ...kept } = outcome.run;
    trials[name] = [{ policy, ...change, ...kept }];
    for (const [figure, value] of Object.entries(outcome.figures))
      if (value.target !== undefined || figure === 'efficiency') figures[`${figure} (${name})`] = value;
  }
  for (const { name } of tableCases()) delete figures[`efficiency (${name})`];
  const bars = CLAIMS.map(({ name }) => ({ label: name, value: outcomes.get(name)?.run.efficiency ?? 0 }));
  return {
    table: policyTable(outcomes),
    figures,
    trials,
    plot: barsSvg({ title: 'Efficiency of dealt links: floor ÷ makespan', unit: '', bars }),
  };
}

function policyTable(outcomes: ReadonlyMap<string, CaseOutcome>): string {
  const head = ['policy', ...SIZES.map(([n, m]) => `N=${shown(n)}, M=${shown(m)}`), 'messages per chunk and node'];
  const rows = (['ring', 'directory', 'dealt'] as const).map((policy) => {
    const runs = SIZES.map(([nodes]) => ORIGINS.map((links) => outcomes.get(cellName(policy, nodes, links))?.run));
    const messages = runs.flat().flatMap((run) => (run === undefined ? [] : [run.messagesPerChunkAndNode]));
    const cells = runs.map((of) => of.map((run) => (run === undefined ? '–' : run.efficiency.toFixed(2))).join(' / '));
    return [policy, ...cells, `${Math.min(...messages).toFixed(1)}–${Math.max(...messages).toFixed(1)}`];
  });
  return `Efficiency, origin at ${ORIGINS.join(' / ')} links\n\n${alignedTable([head, ...rows])}\n`;
}

/** `forebay plan`: a cluster's own seconds and GPU-hours, an async copy beside Forebay, each with the formula that gave it. */
import { parseArgs } from 'node:util';
import { alignedTable } from '../result.ts';
import { type OptionValues, WrongUse } from '../scenario.ts';
import { EFFICIENCY_NAMES } from './efficiency.ts';
import { digits, type Plan, planOf } from './plan.ts';
import { EFFICIENCY_FLAGS, type PlanOptions, planOptions } from './plan-options.ts';

const USAGE = `forebay plan --nodes N --link RATE --origin-ingress RATE --checkpoint SIZE …

  What an async copy and Forebay cost this cluster, by formula and measured efficiency. Rates are like 100Gbit/s, 5GB/s or 100 (Gbit/s).

  --nodes N               that write a checkpoint together
  --link RATE             of a node, each way
  --origin-ingress RATE   what the origin takes from all nodes together
  --checkpoint SIZE       of all ranks together, such as 5.29TB
  --origin-egress RATE    what it sends to all together (default: as ingress)
  --interval TIME         between checkpoints (default: 30m)
  --node-mtbf TIME        between failures of one node (default: 6300h); or
  --failures-per-month X  of all nodes together
  --gpus-per-node N       (default: 8)
  --disk RATE             a node's synced writes (default: 5GB/s)
  --replicas N            copies of what is safe, the writer's counted (default: 2)
  --unevenness X          the largest node's share of a checkpoint ÷ the mean (default: 1)
  --model SIZE            what a broadcast brings to every node (default: a seventh of the checkpoint)
  --restart TIME          from a failure until the job could go on, without the reading (default: 5m)
  --results FILE          take efficiencies from a bench's --json FILE; repeatable
  --stall-ratio X, --safe-ratio X, --durable-ratio X, --restore-ratio X, --efficiency X
                          or say them
  --json                  print all of it as JSON
`;

const string = { type: 'string' } as const;
const OPTIONS = {
  nodes: string,
  link: string,
  'origin-ingress': string,
  'origin-egress': string,
  checkpoint: string,
  interval: string,
  'node-mtbf': string,
  'failures-per-month': string,
  'gpus-per-node': string,
  disk: string,
  replicas: string,
  unevenness: string,
  model: string,
  restart: string,
  results: { type: 'string', multiple: true },
  ...(Object.fromEntries(Object.keys(EFFICIENCY_FLAGS).map((flag) => [flag, string])) as Record<
    keyof typeof EFFICIENCY_FLAGS,
    typeof string
  >),
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

function parse(argv: readonly string[]): OptionValues {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS }).values;
  } catch (error) {
    throw new WrongUse((error as Error).message);
  }
}

function planText(plan: Plan, { efficiencies, assumed }: PlanOptions): string {
  const table = alignedTable([
    ['', 'async copy', 'Forebay', 'from … to', 'unit', 'what'],
    ...plan.rows.map(({ name, unit, what, asyncCopy, forebay }) => [
      name,
      digits(asyncCopy.value),
      digits(forebay.value),
      forebay.best === forebay.worst ? '' : `${digits(forebay.best)}–${digits(forebay.worst)}`,
      unit,
      what,
    ]),
  ]);
  const formulas = plan.rows.flatMap(({ name, asyncCopy, forebay }) => [
    `${name}`,
    `  async copy  ${asyncCopy.formula}`,
    `  Forebay     ${forebay.formula}`,
  ]);
  const measured = EFFICIENCY_NAMES.map((name) => {
    const { value, low, high, source } = efficiencies[name];
    return `  ${name} ${digits(value)}${low === high ? '' : ` (${digits(low)}–${digits(high)})`}: ${source}`;
  });
  const list = (title: string, lines: readonly string[]) =>
    lines.length === 0 ? '' : `\n${title}\n${lines.map((line) => `  ${line}`).join('\n')}\n`;
  return [
    `${table}\n`,
    `\nFormulas (failures per month: ${plan.failuresPerMonth.formula})\n${formulas.join('\n')}\n`,
    `\nMeasured\n${measured.join('\n')}\n`,
    list('Assumed', assumed),
    list('Notes', plan.notes),
  ].join('');
}

/** Exit code 0: told; 2: wrong use. */
export function planMain(argv: readonly string[]): number {
  try {
    const values = parse(argv);
    if (values['help'] === true) {
      process.stdout.write(USAGE);
      return 0;
    }
    const options = planOptions(values);
    const plan = planOf(options.inputs, options.efficiencies);
    process.stdout.write(
      values['json'] === true ? `${JSON.stringify({ ...options, ...plan })}\n` : planText(plan, options),
    );
    return 0;
  } catch (error) {
    if (!(error instanceof WrongUse)) throw error;
    process.stderr.write(`forebay plan: ${error.message}\n\n${USAGE}`);
    return 2;
  }
}

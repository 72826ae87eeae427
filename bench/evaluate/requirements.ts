/**
 * `requirements.toml`: what the customer must have and wants, judged from the results where they can say: green, red or unknown, per line
 * and candidate. Unknown is never green: the one line at the end says "ready to engage: no" for it.
 */
import { z } from 'zod';
import { parseSize } from '../../src/core/quantity.ts';
import { bootstrap, type Interval, judge } from '../statistics.ts';
import { cellOf, entryOf, figureOf, trialsOf } from './figures-of.ts';
import type { Recommendation } from './recommendation.ts';
import {
  type CandidateKind,
  figureId,
  INTERFACES,
  type Interface,
  MEASURES,
  type Measure,
  type Results,
  SCENARIO_NAMES,
  type ScenarioName,
} from './results.ts';
import { parseToml } from './toml-document.ts';

const positive = z.number().positive('expected a number above 0');
const targetsOf = (scenario: ScenarioName) =>
  z.strictObject(Object.fromEntries(MEASURES[scenario].map((measure) => [measure, positive.optional()]))).optional();

const bytes = z.string().transform((text, context) => {
  const size = parseSize(text);
  if (size !== undefined && size > 0) return size;
  context.issues.push({
    code: 'custom',
    message: `expected a size, got ${JSON.stringify(text)}; write it like "140GB"`,
    input: text,
  });
  return z.NEVER;
});

const SCHEMA = z.strictObject({
  /** Seconds at most. */
  targets: z
    .strictObject({
      'fan-out-read': targetsOf('fan-out-read'),
      'fan-out-write': targetsOf('fan-out-write'),
      'fan-in-read': targetsOf('fan-in-read'),
    })
    .optional(),
  'must-have': z
    .strictObject({
      /** Seconds after the acknowledgement in which the loss of one node may still lose the step. */
      'survives-node-loss': z.number().nonnegative('expected seconds, 0 or more').optional(),
      'origin-read-once': z.boolean().optional(),
      speaks: z.array(z.enum(INTERFACES)).optional(),
    })
    .optional(),
  /** What the evidence has to cover; what was measured smaller is unknown, not green. */
  scale: z
    .strictObject({
      nodes: z.number().int('expected a whole number').positive('expected a number above 0').optional(),
      bytes: z
        .strictObject({
          'fan-out-read': bytes.optional(),
          'fan-out-write': bytes.optional(),
          'fan-in-read': bytes.optional(),
        })
        .optional(),
    })
    .optional(),
});

export type Requirements = z.output<typeof SCHEMA>;

/** Throws ForebayError `config` with one line per complaint. */
export function parseRequirements(path: string, text: string): Requirements {
  return parseToml(path, text, SCHEMA);
}

export interface LineVerdict {
  readonly state: 'green' | 'red' | 'unknown';
  readonly reason: string;
  readonly figures: readonly string[];
}

export interface JudgedLine {
  /** As in the file: `must-have.origin-read-once`. */
  readonly id: string;
  readonly text: string;
  /** Red here and a candidate is not eligible. */
  readonly isMustHave: boolean;
  /** By name of the candidate. */
  readonly verdicts: Readonly<Record<string, LineVerdict>>;
}

export interface JudgedRequirements {
  readonly lines: readonly JudgedLine[];
}

type Judge = (candidate: string) => LineVerdict;

export function judgeRequirements(requirements: Requirements, results: Results): JudgedRequirements {
  const line = (id: string, text: string, isMustHave: boolean, judged: Judge): JudgedLine => ({
    id,
    text,
    isMustHave,
    verdicts: Object.fromEntries(results.candidates.map(({ name }) => [name, judged(name)])),
  });
  const must = requirements['must-have'] ?? {};
  const lines: JudgedLine[] = [];
  const bound = must['survives-node-loss'];
  if (bound !== undefined) {
    const within = bound === 0 ? 'as soon as a write is acknowledged' : `${bound} s after a write is acknowledged`;
    lines.push(
      line('must-have.survives-node-loss', `survives the loss of one node ${within}`, true, (name) =>
        survives(results, name, bound),
      ),
    );
  }
  if (must['origin-read-once'])
    lines.push(
      line('must-have.origin-read-once', 'reads the origin once for all nodes', true, (name) =>
        readsOnce(results, name),
      ),
    );
  for (const one of must.speaks ?? [])
    lines.push(line(`must-have.speaks.${one}`, `speaks ${one}`, true, (name) => speaks(results, name, one)));
  for (const scenario of SCENARIO_NAMES)
    for (const [measure, most] of Object.entries(requirements.targets?.[scenario] ?? {}))
      if (most !== undefined)
        lines.push(
          line(`targets.${scenario}.${measure}`, `${scenario}: ${measure} ≤ ${most} s`, false, (name) =>
            reaches(results, { scenario, candidate: name, measure: measure as Measure, most }),
          ),
        );
  return { lines: [...lines, ...scaleLines(requirements, results, line)] };
}

function scaleLines(
  { scale }: Requirements,
  results: Results,
  line: (id: string, text: string, isMustHave: boolean, judged: Judge) => JudgedLine,
): JudgedLine[] {
  const covered = (has: number, needed: number, text: string): LineVerdict =>
    has >= needed
      ? { state: 'green', reason: `measured with ${text}`, figures: [] }
      : {
          state: 'unknown',
          reason: `measured with ${text} only; measure larger, or look at the projections`,
          figures: [],
        };
  const nodes = scale?.nodes;
  const sizes = SCENARIO_NAMES.flatMap((scenario) => {
    const needed = scale?.bytes?.[scenario];
    if (needed === undefined) return [];
    const has = results.scenarios.find(({ name }) => name === scenario)?.sizeBytes ?? 0;
    return [
      line(`scale.bytes.${scenario}`, `${scenario} with ${needed} bytes`, false, () =>
        covered(has, needed, `${has} bytes`),
      ),
    ];
  });
  if (nodes === undefined) return sizes;
  return [
    line('scale.nodes', `${nodes} nodes`, false, () => covered(results.nodes, nodes, `${results.nodes} nodes`)),
    ...sizes,
  ];
}

const unknown = (reason: string): LineVerdict => ({ state: 'unknown', reason, figures: [] });

/** `undefined` where it was measured. */
function notMeasured(results: Results, scenario: ScenarioName, candidate: string): LineVerdict | undefined {
  const cell = cellOf(results, scenario, candidate);
  if (cell.status === 'measured') return undefined;
  return unknown(`${scenario}: ${cell.status}${cell.reason === undefined ? '' : ` (${cell.reason})`}`);
}

const seconds = ({ median, low, high }: Interval) => `${median.toFixed(2)} s (${low.toFixed(2)}–${high.toFixed(2)})`;

/** Clocks of two watchers are read: less than this between acknowledged and safe is no time. */
const SAME_MOMENT_S = 0.01;

function survives(results: Results, candidate: string, bound: number): LineVerdict {
  const scenario = 'fan-out-write';
  const missing = notMeasured(results, scenario, candidate);
  if (missing) return missing;
  const exposed = trialsOf(results, scenario, candidate).flatMap(({ values: { safeS, blockedS } }) =>
    safeS === undefined || blockedS === undefined ? [] : [Math.max(0, safeS - blockedS)],
  );
  if (exposed.length === 0) return unknown('nobody watched when it became safe');
  const interval = bootstrap(exposed);
  const figures = [figureId(scenario, candidate, 'safeS'), figureId(scenario, candidate, 'blockedS')];
  const said = `exposed for ${seconds(interval)} after the acknowledgement`;
  return byInterval(interval, bound + SAME_MOMENT_S, { said, figures, isBusy: isBusy(results, figures) });
}

function readsOnce(results: Results, candidate: string): LineVerdict {
  const missing = notMeasured(results, 'fan-out-read', candidate);
  if (missing) return missing;
  const figure = figureOf(results, 'fan-out-read', candidate, 'originBytesRatio');
  if (figure === undefined) return unknown('nobody counted at the origin');
  return {
    state: figure.high <= 1.01 ? 'green' : 'red',
    reason: `${figure.median.toFixed(2)} times the payload left the origin, ${figure.high.toFixed(2)} at most`,
    figures: [figure.id],
  };
}

/** The interfaces through which the evaluation drives a kind of candidate. */
const DRIVEN_THROUGH: Readonly<Partial<Record<CandidateKind, Interface>>> = {
  s3: 's3',
  posix: 'path',
  'async-copy': 'path',
  resp: 'resp',
};

function speaks(results: Results, candidate: string, wanted: Interface): LineVerdict {
  const entry = entryOf(results, candidate);
  const isMeasured = results.scenarios.some(({ name }) => cellOf(results, name, candidate).status === 'measured');
  if (entry?.speaks !== undefined && !entry.speaks.includes(wanted))
    return { state: 'red', reason: `it speaks ${entry.speaks.join(', ') || 'none of them'}`, figures: [] };
  if (!isMeasured) return unknown(entry?.speaks ? 'said of it, but it was not measured' : 'it was not measured');
  if (entry?.speaks !== undefined) return { state: 'green', reason: 'said of it, and it was measured', figures: [] };
  const driven = entry && DRIVEN_THROUGH[entry.kind];
  if (driven === wanted) return { state: 'green', reason: 'driven through it here', figures: [] };
  return unknown('it was not driven through it here');
}

function reaches(
  results: Results,
  { scenario, candidate, measure, most }: { scenario: ScenarioName; candidate: string; measure: Measure; most: number },
): LineVerdict {
  const missing = notMeasured(results, scenario, candidate);
  if (missing) return missing;
  const figure = figureOf(results, scenario, candidate, measure);
  if (figure === undefined) return unknown(`${measure} was not measured`);
  return byInterval(figure, most, { said: seconds(figure), figures: [figure.id], isBusy: figure.isBusy });
}

const isBusy = (results: Results, ids: readonly string[]) =>
  results.figures.some((figure) => figure.isBusy && ids.includes(figure.id));

/** What a busy machine made too slow may be green elsewhere; what was good enough on it stays good. */
function byInterval(
  interval: Interval,
  most: number,
  { said, figures, isBusy: busy }: { said: string; figures: readonly string[]; isBusy: boolean },
): LineVerdict {
  const verdict = judge(interval, { atMost: most });
  if (verdict === 'met') return { state: 'green', reason: said, figures };
  if (verdict === 'missed' && !busy) return { state: 'red', reason: said, figures };
  const why =
    verdict === 'missed' ? 'the machine was too busy to hold that against it' : 'the interval lies on both sides';
  return { state: 'unknown', reason: `${said}: ${why}`, figures };
}

export interface Readiness {
  readonly isReady: boolean;
  /** `ready to engage: no, because …`. */
  readonly text: string;
}

/** Ready is only: one recommended, and every line green for it. */
export function readiness(judged: JudgedRequirements, { outcome, choice, answer }: Recommendation): Readiness {
  const candidate = choice[0];
  const no = (because: string): Readiness => ({ isReady: false, text: `ready to engage: no, because ${because}` });
  if (outcome !== 'recommended' || candidate === undefined) return no(`there is no recommendation. ${answer}`);
  if (judged.lines.length === 0) return no('no requirement says what ready means');
  const open = judged.lines.flatMap(({ text, verdicts }) => {
    const verdict = verdicts[candidate];
    return verdict === undefined || verdict.state === 'green'
      ? []
      : [`"${text}" is ${verdict.state} (${verdict.reason})`];
  });
  if (open.length > 0) return no(`for ${candidate} ${open.join('; ')}`);
  return {
    isReady: true,
    text: `ready to engage: yes, because ${candidate} is recommended and all ${judged.lines.length} lines are green for it`,
  };
}

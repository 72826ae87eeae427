/**
 * `evaluation.toml`: which candidates, over which scenarios, at which size. Everything is checked before anything is started; a
 * complaint names the key and says what to write.
 */
import { z } from 'zod';
import { parseDuration, parseSize } from '../../src/core/quantity.ts';
import { INTERFACES, MEASURES, type Measure, type ScenarioName } from './results.ts';
import { unknownVariables } from './template.ts';
import { parseToml } from './toml-document.ts';

const NODES_MAX = 32;
const NAME_MAX = 60;

const size = z.string().transform((text, context) => {
  const bytes = parseSize(text);
  if (bytes !== undefined && bytes > 0) return bytes;
  context.addIssue({ code: 'custom', message: `expected a size such as "64MiB", got "${text}"` });
  return z.NEVER;
});

const duration = z.string().transform((text, context) => {
  const ms = parseDuration(text);
  if (ms !== undefined && ms > 0) return ms;
  context.addIssue({ code: 'custom', message: `expected a duration such as "60s", got "${text}"` });
  return z.NEVER;
});

/** A command line for `sh -c`. */
const shell = (more: readonly string[] = []) =>
  z.string().superRefine((text, context) => {
    const unknown = unknownVariables(text, more);
    if (unknown.length > 0) context.addIssue({ code: 'custom', message: `unknown variable ${unknown.join(', ')}` });
  });

function weights(scenario: ScenarioName, usual: Readonly<Partial<Record<Measure, number>>>) {
  const measures = Object.fromEntries(MEASURES[scenario].map((name) => [name, z.number().min(0).max(100).optional()]));
  return z
    .strictObject(measures)
    .transform((given) => given as Partial<Record<Measure, number>>)
    .default(usual);
}

const scenarios = z.strictObject({
  'fan-out-read': z.strictObject({ size, weights: weights('fan-out-read', { makespanS: 1 }) }).optional(),
  'fan-out-write': z
    .strictObject({
      size,
      filesPerNode: z.int().min(1).max(1000).default(2),
      weights: weights('fan-out-write', { blockedS: 1, safeS: 1 }),
    })
    .optional(),
  'fan-in-read': z
    .strictObject({
      values: z.int().min(1).max(10_000).default(64),
      valueSize: size.default(2 ** 20),
      weights: weights('fan-in-read', { gatherS: 1 }),
    })
    .optional(),
});

const common = {
  name: z
    .string()
    .min(1)
    .max(NAME_MAX)
    .regex(/^[^/]+$/, 'a name has no slash'),
  about: z.string().optional(),
  /** In place of the evaluation's, for this candidate only. */
  linkMbit: z.number().min(1).max(100_000).optional(),
  copies: z.int().min(0).max(10).optional(),
  /** Every interface that it speaks. */
  speaks: z.array(z.enum(INTERFACES)).optional(),
};

const paths = {
  reads: z.boolean().default(true),
  writes: z.boolean().default(true),
  values: z.boolean().default(true),
};

const place = z.enum(['every-node', 'first-node']);

const candidate = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('forebay'),
    ...common,
    ack: z.enum(['local', 'replicated', 'origin']).default('local'),
    replicas: z.int().min(1).max(5).default(2),
  }),
  z.strictObject({ kind: z.literal('origin'), ...common }),
  z.strictObject({ kind: z.literal('async-copy'), ...common }),
  z.strictObject({
    kind: z.literal('posix'),
    ...common,
    ...paths,
    /** Mounts at `${mount}` and stays in the foreground; absent: `path` is there already. */
    mount: shell(['mount']).optional(),
    /** The bucket's directory. */
    path: shell(['mount']),
  }),
  z.strictObject({
    kind: z.literal('s3'),
    ...common,
    ...paths,
    start: shell().optional(),
    on: place.default('every-node'),
    /** `address:port`. */
    endpoint: shell(),
  }),
  z.strictObject({
    kind: z.literal('resp'),
    ...common,
    start: shell().optional(),
    on: place.default('first-node'),
    endpoint: shell(),
  }),
  z.strictObject({
    kind: z.literal('exec'),
    ...common,
    start: shell().optional(),
    put: shell(['key', 'file']).optional(),
    get: shell(['key', 'file']).optional(),
    warm: shell(['key']).optional(),
  }),
  z.strictObject({ kind: z.literal('documented'), ...common }),
]);

const evaluation = z.strictObject({
  name: z.string().min(1).max(NAME_MAX),
  question: z.string().min(1),
  nodes: z.int().min(2).max(NODES_MAX).default(4),
  linkMbit: z.number().min(1).max(100_000).default(250),
  originLinks: z.number().min(0.1).max(64).default(2),
  rounds: z.int().min(1).max(100).default(3),
  /** Of one trial of one candidate: whoever takes longer has failed. */
  timeout: duration.default(120_000),
  requirements: z.string().optional(),
  facts: z.string().optional(),
  scenarios,
  candidates: z.array(candidate).min(1).max(50),
});

export type Evaluation = z.infer<typeof evaluation>;
export type CandidateConfig = Evaluation['candidates'][number];
export type ConfigOf<Kind extends CandidateConfig['kind']> = Extract<CandidateConfig, { kind: Kind }>;

/** What the schema alone does not see. */
const whole = evaluation.superRefine(({ candidates, scenarios: asked }, context) => {
  const complain = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
  const names = candidates.map(({ name }) => name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) complain('candidates', `two have the name "${twice}"; give each its own`);
  if (Object.values(asked).every((scenario) => scenario === undefined))
    complain('scenarios', 'name one at least, such as [scenarios.fan-out-read]');
});

/** `path` is only named in complaints. Throws ForebayError `config` with one line per complaint. */
export const parseEvaluation = (path: string, text: string): Evaluation => parseToml(path, text, whole);

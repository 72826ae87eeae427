/**
 * `facts.toml`: what is said of candidates that could not be run. Each figure has its source, date and confidence, each candidate the questions to ask
 * its owner. Never drawn, tabled or scored as measured: the report keeps it in a place of its own.
 */
import { z } from 'zod';
import { parseToml } from './toml-document.ts';

/**
 * `measured by its owner`: published by who makes it; `paper`: reviewed; `documentation`: how it is said to work; `computed`: by us from such
 * figures; `not known`: nothing public was found.
 */
const CONFIDENCES = ['measured by its owner', 'paper', 'documentation', 'computed', 'not known'] as const;

const sentence = z.string().min(1, 'expected text, got none');

/** Local dates of TOML come as dates, quoted ones as text. */
const date = z.unknown().transform((given, context) => {
  const text = given instanceof Date ? given.toISOString().slice(0, 10) : given;
  if (typeof text === 'string' && /^\d{4}(-\d{2}(-\d{2})?)?$/.test(text)) return text;
  context.issues.push({ code: 'custom', message: 'expected a date; write it like date = "2026-11"', input: given });
  return z.NEVER;
});

const figure = z.strictObject({
  says: sentence,
  source: sentence,
  date,
  confidence: z.enum(CONFIDENCES),
});

const candidate = z.strictObject({
  name: sentence,
  /** The question that it is an answer to. */
  question: sentence,
  /** Why it is, or is not, a cache in front of the origin. */
  'is-a-cache': sentence,
  /** What would change our mind. */
  'change-of-mind': sentence,
  /** To ask its owner. */
  ask: z.array(sentence).min(1, 'expected at least one question to its owner'),
  figures: z.array(figure).default([]),
});

const SCHEMA = z.strictObject({ candidates: z.array(candidate) }).superRefine(({ candidates }, context) => {
  const seen = new Set<string>();
  for (const [i, { name }] of candidates.entries()) {
    if (seen.has(name))
      context.addIssue({ code: 'custom', path: ['candidates', i, 'name'], message: `"${name}" is there twice` });
    seen.add(name);
  }
});

export type Facts = z.output<typeof SCHEMA>;
export type DocumentedCandidate = Facts['candidates'][number];

/** Throws ForebayError `config` with one line per complaint. */
export function parseFacts(path: string, text: string): Facts {
  return parseToml(path, text, SCHEMA);
}

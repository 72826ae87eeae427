/** What `forebay bench` can run. */
import type { ParseArgsConfig } from 'node:util';
import type { Progress } from './progress.ts';
import type { Result } from './result.ts';

/** The command line asks for something that there is not; ends with exit code 2. */
export class WrongUse extends Error {
  override name = 'WrongUse';
}

export type OptionValues = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;

export interface Outcome {
  readonly result: Result;
  /** Name → SVG. */
  readonly plots: Readonly<Record<string, string>>;
}

export interface Scenario {
  readonly name: string;
  /** One line for the synopsis, and lines on the options. */
  readonly synopsis: string;
  readonly help: string;
  readonly options: NonNullable<ParseArgsConfig['options']>;
  /** Throws WrongUse, before anything is started. */
  run(values: OptionValues, progress: Progress): Promise<Outcome>;
}

/** A number given as an option. Throws WrongUse. */
export function numberOf(
  values: OptionValues,
  name: string,
  bounds: { min: number; max: number; whole?: boolean },
): number | undefined {
  const text = values[name];
  if (typeof text !== 'string') return undefined;
  const value = Number(text);
  const { min, max, whole = true } = bounds;
  if (text.trim() === '' || !(value >= min && value <= max) || (whole && !Number.isInteger(value)))
    throw new WrongUse(`--${name} ${text}: expected a ${whole ? 'whole ' : ''}number from ${min} to ${max}`);
  return value;
}

/** The command line of a plan: quantities with units, and what is assumed where nothing is said. */
import { readFileSync } from 'node:fs';
import { parseDuration, parseSize } from '../../src/core/quantity.ts';
import { numberOf, type OptionValues, WrongUse } from '../scenario.ts';
import { type Efficiencies, type EfficiencyName, efficienciesOf, MEASURED } from './efficiency.ts';
import type { PlanInputs } from './plan.ts';

export interface PlanOptions {
  readonly inputs: PlanInputs;
  readonly efficiencies: Efficiencies;
  /** What nobody said, in words. */
  readonly assumed: readonly string[];
}

/** Flag → figure. */
export const EFFICIENCY_FLAGS = {
  'stall-ratio': 'stallRatio',
  'safe-ratio': 'safeFloorRatio',
  'durable-ratio': 'durableRatio',
  'restore-ratio': 'restoreFloorRatio',
  efficiency: 'efficiency',
} as const satisfies Readonly<Record<string, EfficiencyName>>;

const BITS: Readonly<Record<string, number>> = { M: 1e6 / 8, G: 1e9 / 8, T: 1e12 / 8 };

/** Bytes per second; a bare number counts as Gbit/s, as network people say it. */
export function parseRate(text: string): number | undefined {
  const bits = /^(\d{1,9}(?:\.\d{1,6})?) ?(?:([MGT])(?:bit(?:\/s)?|bps|b\/s))?$/.exec(text);
  if (bits) return Number(bits[1]) * (BITS[bits[2] ?? 'G'] as number);
  return text.endsWith('/s') ? parseSize(text.slice(0, -2)) : undefined;
}

const RATE = 'a rate such as 100Gbit/s or 5GB/s';
const SIZE = 'a size such as 5.29TB or 912GiB';
const DURATION = 'a time such as 90s, 30m or 6300h';

class Reading {
  readonly assumed: string[] = [];
  readonly #values: OptionValues;

  constructor(values: OptionValues) {
    this.#values = values;
  }

  /** Positive; throws WrongUse. */
  quantity(name: string, parse: (text: string) => number | undefined, expected: string): number | undefined {
    const text = this.#values[name];
    if (typeof text !== 'string') return undefined;
    const value = parse(text.trim());
    if (value === undefined || !(value > 0)) throw new WrongUse(`--${name} ${text}: expected ${expected}`);
    return value;
  }

  needed(name: string, parse: (text: string) => number | undefined, expected: string): number {
    const value = this.quantity(name, parse, expected);
    if (value === undefined) throw new WrongUse(`--${name} is missing: expected ${expected}`);
    return value;
  }

  number(name: string, bounds: { min: number; max: number; whole?: boolean }): number | undefined {
    return numberOf(this.#values, name, bounds);
  }

  or<T>(given: T | undefined, otherwise: T, words: string): T {
    if (given === undefined) this.assumed.push(words);
    return given ?? otherwise;
  }
}

const secondsOf = (text: string) => {
  const ms = parseDuration(text);
  return ms === undefined ? undefined : ms / 1000;
};

/** MLPerf Storage's 405B: 755 GiB of 5,288 are the model. */
const MODEL_SHARE = 755 / 5288;
/** 419 unexpected interruptions in 54 days of 16,384 GPUs, eight a node ("The Llama 3 Herd of Models", 2024): 6,334 h. */
const NODE_MTBF_S = 6300 * 3600;
const MONTH_S = 30 * 86_400;

function inputsOf(reading: Reading): PlanInputs {
  const nodes = reading.number('nodes', { min: 2, max: 100_000 });
  if (nodes === undefined) throw new WrongUse('--nodes is missing: expected a whole number from 2 to 100000');
  const linkBytesPerS = reading.needed('link', parseRate, RATE);
  const ingressBytesPerS = reading.needed('origin-ingress', parseRate, RATE);
  const checkpointBytes = reading.needed('checkpoint', parseSize, SIZE);
  const replicas = reading.number('replicas', { min: 2, max: 8 }) ?? 2;
  if (replicas > nodes) throw new WrongUse(`--replicas ${replicas}: there are only ${nodes} nodes`);
  const failures = reading.number('failures-per-month', { min: 0.001, max: 1e6, whole: false });
  const mtbfS = reading.quantity('node-mtbf', secondsOf, DURATION);
  if (failures !== undefined && mtbfS !== undefined)
    throw new WrongUse('--failures-per-month and --node-mtbf say the same: give one of them');
  return {
    nodes,
    linkBytesPerS,
    ingressBytesPerS,
    checkpointBytes,
    replicas,
    gpusPerNode: reading.or(reading.number('gpus-per-node', { min: 1, max: 1024 }), 8, '8 GPUs per node'),
    egressBytesPerS: reading.or(
      reading.quantity('origin-egress', parseRate, RATE),
      ingressBytesPerS,
      'the origin sends as fast as it takes (--origin-egress)',
    ),
    unevenness: reading.number('unevenness', { min: 1, max: nodes, whole: false }) ?? 1,
    intervalS: reading.or(
      reading.quantity('interval', secondsOf, DURATION),
      1800,
      'a checkpoint every 30 minutes (--interval)',
    ),
    diskBytesPerS: reading.or(reading.quantity('disk', parseRate, RATE), 5e9, "a node's disks write 5 GB/s (--disk)"),
    modelBytes: reading.or(
      reading.quantity('model', parseSize, SIZE),
      Math.round(checkpointBytes * MODEL_SHARE),
      "the model is a seventh of the checkpoint, as MLPerf's 405B (--model)",
    ),
    nodeMtbfS: reading.or(
      failures === undefined ? mtbfS : (MONTH_S * nodes) / failures,
      NODE_MTBF_S,
      'a node fails every 6,300 hours, as published of Llama 3 (--node-mtbf, --failures-per-month)',
    ),
    restartS: reading.or(
      reading.quantity('restart', secondsOf, DURATION),
      300,
      'a restart takes 5 minutes without the reading (--restart)',
    ),
  };
}

function resultIn(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new WrongUse(`--results ${file}: ${(error as Error).message}`);
  }
}

function efficienciesFrom(values: OptionValues, reading: Reading): Efficiencies {
  let efficiencies = MEASURED;
  for (const file of (values['results'] as readonly string[] | undefined) ?? []) {
    try {
      efficiencies = { ...efficiencies, ...efficienciesOf(resultIn(file), file) };
    } catch (error) {
      throw error instanceof WrongUse ? error : new WrongUse(`--results ${(error as Error).message}`);
    }
  }
  for (const [flag, name] of Object.entries(EFFICIENCY_FLAGS)) {
    const most = name === 'efficiency' ? 1 : 1000;
    const value = reading.number(flag, { min: 0.01, max: most, whole: false });
    if (value !== undefined)
      efficiencies = { ...efficiencies, [name]: { value, low: value, high: value, source: `--${flag}` } };
  }
  return efficiencies;
}

/** Throws WrongUse with a sentence. */
export function planOptions(values: OptionValues): PlanOptions {
  const reading = new Reading(values);
  const inputs = inputsOf(reading);
  return { inputs, efficiencies: efficienciesFrom(values, reading), assumed: reading.assumed };
}

/**
 * What an evaluation found: `results.json`. Everything that the report says is looked up here by the id of a figure, so that a script
 * finds each claim.
 */
import type { Environment } from '../environment.ts';
import type { Interval } from '../statistics.ts';

export const SCENARIO_NAMES = ['fan-out-read', 'fan-out-write', 'fan-in-read'] as const;
export type ScenarioName = (typeof SCENARIO_NAMES)[number];

export type CandidateKind = 'forebay' | 'origin' | 'async-copy' | 'posix' | 's3' | 'resp' | 'exec' | 'documented';

export const INTERFACES = ['s3', 'path', 'azure', 'resp'] as const;
/** A way to speak to a candidate. */
export type Interface = (typeof INTERFACES)[number];

/**
 * What a scenario measures of a candidate; seconds, of which less is better.
 *
 * fan-out-read: `makespanS` first node's start to last node's end. fan-out-write: `blockedS` ranks wait, `safeS` from the first byte
 * until one dead node loses nothing, `durableS` until the origin has it, `restoreS` the step read on another node. fan-in-read:
 * `putS` values stored by all nodes, `gatherS` one reader has them all.
 */
export const MEASURES = {
  'fan-out-read': ['makespanS'],
  'fan-out-write': ['blockedS', 'safeS', 'durableS', 'restoreS'],
  'fan-in-read': ['gatherS', 'putS'],
} as const satisfies Record<ScenarioName, readonly string[]>;
export type Measure = (typeof MEASURES)[ScenarioName][number];

/**
 * `measured`; `not applicable`: the candidate has no such path; `failed`: it did not end, or gave wrong bytes; `not cold`: it served what
 * nobody had asked the origin for; `not run`: documented, or it cannot be run here.
 */
export type CellStatus = 'measured' | 'not applicable' | 'failed' | 'not cold' | 'not run';

/** One trial of a candidate in a scenario. */
export interface Trial {
  readonly candidate: string;
  readonly scenario: ScenarioName;
  /** The trials of one round ran one after the other, in an order that rotates. */
  readonly round: number;
  readonly status: CellStatus;
  /** Why, where it is not `measured`. */
  readonly reason?: string;
  /** Of the first wrong byte. */
  readonly offset?: number;
  readonly values: Readonly<Partial<Record<Measure, number>>>;
  /** What the origin was asked for meanwhile, counted at its side: bytes read ÷ bytes of the payload, and requests. */
  readonly originBytesRatio?: number;
  readonly originRequests?: number;
  /** Fraction of the machine in use meanwhile. */
  readonly cpuBusy?: number;
  /** The least seconds in which the links allow it, for `makespanS` and `gatherS`. */
  readonly floorS?: number;
}

export interface Cell {
  readonly candidate: string;
  readonly scenario: ScenarioName;
  readonly status: CellStatus;
  readonly reason?: string;
  readonly offset?: number;
}

/** `id` is `<scenario>/<candidate>/<measure>`, with `originBytesRatio` as a further measure. */
export interface EvaluatedFigure extends Interval {
  readonly id: string;
  readonly candidate: string;
  readonly scenario: ScenarioName;
  readonly measure: Measure | 'originBytesRatio';
  readonly unit: 's' | '';
  readonly trials: number;
  /** The machine was too busy for the links to bind. */
  readonly isBusy: boolean;
}

export interface CandidateEntry {
  readonly name: string;
  readonly kind: CandidateKind;
  /** What it is, in the evaluation's words. */
  readonly about?: string;
  /** Copies of each written byte that it keeps beside the origin's, where known: what it costs. */
  readonly copies?: number;
  /** The other candidate that is the same thing under another name: same kind and same options. The two are one choice. */
  readonly sameAs?: string;
  /** Every interface that it speaks, where the evaluation says so: an interface that is not in the list is not spoken. */
  readonly speaks?: readonly Interface[];
}

export interface EvaluatedScenario {
  readonly name: ScenarioName;
  /** Payload of one trial, bytes. */
  readonly sizeBytes: number;
  /** Weight of each measure in the recommendation; those that are not named weigh nothing. */
  readonly weights: Readonly<Partial<Record<Measure, number>>>;
}

export interface Results {
  readonly format: 1;
  readonly name: string;
  readonly question: string;
  /** The command that repeats it. */
  readonly command: string;
  readonly environment: Environment;
  readonly shaping: string;
  readonly nodes: number;
  readonly linkMbit: number;
  /** The origin's link ÷ a node's. */
  readonly originLinks: number;
  readonly rounds: number;
  readonly candidates: readonly CandidateEntry[];
  readonly scenarios: readonly EvaluatedScenario[];
  readonly cells: readonly Cell[];
  readonly figures: readonly EvaluatedFigure[];
  readonly trials: readonly Trial[];
}

export const figureId = (scenario: ScenarioName, candidate: string, measure: string): string =>
  `${scenario}/${candidate}/${measure}`;

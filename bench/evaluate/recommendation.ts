/**
 * The one answer that an evaluation ends in: which candidate to take for all its scenarios, or what is missing to say so.
 * docs/evaluation.md states the rule; nothing here knows a candidate by name or prefers a kind.
 */
import { type Comparison, compare, ROUNDS_MIN } from './comparison.ts';
import { figureText } from './figure-text.ts';
import { cellOf, trialsOf, weightedMeasuresOf } from './figures-of.ts';
import type { JudgedRequirements } from './requirements.ts';
import { figureId, type Results, type ScenarioName } from './results.ts';
import { type Standing, scoreFigures, standingsOf } from './standing.ts';
import { MEASURE_WORDS, SCENARIO_WORDS } from './words.ts';

/** What the report says, as text and figures in turn: a script finds each figure in the results by its id. */
export interface Claim {
  readonly parts: readonly (string | { readonly figure: string })[];
  /** Ids of what it rests on beside the figures in its parts. */
  readonly restsOn: readonly string[];
}

export interface Recommendation {
  readonly outcome: 'recommended' | 'inconclusive' | 'nobody';
  /** The names of the recommended choice, or of the one in front; empty where nobody is eligible. */
  readonly choice: readonly string[];
  /** The answer in a sentence. */
  readonly answer: string;
  readonly standings: readonly Standing[];
  /** The one in front with each other eligible choice, the nearest first. */
  readonly comparisons: readonly Comparison[];
  /** One choice under two names, compared with itself. */
  readonly twins: readonly Comparison[];
  /** Where nobody is eligible: the fewest candidates that cover what can be covered, and for which scenario each. */
  readonly combination: readonly { readonly scenario: ScenarioName; readonly candidate: string | undefined }[];
  readonly claims: readonly Claim[];
}

export function recommend(results: Results, requirements?: JudgedRequirements): Recommendation {
  const standings = standingsOf(results, requirements);
  const twins = twinsOf(results, standings);
  const choices = eligibleChoices(standings);
  const front = choices[0];
  if (front === undefined) return nobody(results, { standings, twins });
  const noise = Math.max(1, ...twins.map(noiseOf));
  const comparisons = choices
    .slice(1)
    .map(({ candidate }) => compare(results, { ours: front.candidate, other: candidate }, noise))
    .sort((a, b) => (a.ratio?.median ?? 0) - (b.ratio?.median ?? 0));
  const doubts = [...tooFewRounds(results, front), ...comparisons.flatMap(doubtOf)];
  const isSure = doubts.length === 0;
  return {
    outcome: isSure ? 'recommended' : 'inconclusive',
    choice: front.choice,
    answer: isSure ? takeText(results, { front, comparisons, standings }) : inconclusiveText(front, doubts),
    standings,
    comparisons,
    twins,
    combination: [],
    claims: [
      ...comparisons.map((one) => comparisonClaim(one)),
      ...measureClaims(results, front, comparisons[0]),
      ...twins.map(twinClaim),
    ],
  };
}

/** One standing per choice, under the name that the others are the same as, where that one is eligible. */
function eligibleChoices(standings: readonly Standing[]): Standing[] {
  const eligible = standings.filter(({ isEligible }) => isEligible);
  const nameOf = ({ choice }: Standing) =>
    choice.find((name) => eligible.some(({ candidate }) => candidate === name)) as string;
  return eligible.filter((standing) => nameOf(standing) === standing.candidate);
}

function twinsOf(results: Results, standings: readonly Standing[]): Comparison[] {
  const isEligible = (name: string) => standings.some(({ candidate, isEligible: is }) => candidate === name && is);
  const choices = new Map(standings.map(({ choice }) => [choice[0] as string, choice.filter(isEligible)]));
  return Array.from(choices.values()).flatMap(([first, ...others]) =>
    first === undefined ? [] : others.map((other) => compare(results, { ours: first, other })),
  );
}

/** By how much the same thing differed from itself, where it was told apart: other differences must be larger. */
function noiseOf({ verdict, ratio }: Comparison): number {
  return verdict === 'no difference' || ratio === undefined ? 1 : Math.max(ratio.median, 1 / ratio.median);
}

/** Why the one in front may not be: what follows "in front, but". */
function doubtOf({ other, verdict, because }: Comparison): string[] {
  if (verdict === 'ahead') return [];
  return [`these measurements do not tell it apart from ${other}${because === undefined ? '' : ` (${because})`}`];
}

/** Who has nobody beside it needs evidence all the same. */
function tooFewRounds(results: Results, { candidate }: Standing): string[] {
  const few = results.scenarios
    .map(({ name }) => ({ name, rounds: trialsOf(results, name, candidate).length }))
    .find(({ rounds }) => rounds < ROUNDS_MIN);
  return few === undefined ? [] : [`${few.name} has only ${few.rounds} of its rounds; ${ROUNDS_MIN} are needed`];
}

interface Field {
  readonly front: Standing;
  readonly comparisons: readonly Comparison[];
  readonly standings: readonly Standing[];
}

function takeText(results: Results, { front, comparisons, standings }: Field): string {
  const scenarios = results.scenarios.map(({ name }) => name).join(', ');
  const nearest = comparisons[0];
  const failed = standings
    .filter(({ candidate }) =>
      results.scenarios.some(({ name }) => cellOf(results, name, candidate).status === 'failed'),
    )
    .map(({ candidate }) => candidate);
  const without = failed.length === 0 ? '' : ` Not in it, because they failed: ${failed.join(', ')}.`;
  if (nearest?.ratio === undefined)
    return `Take ${front.candidate}: it is the only one that was measured in all of ${scenarios} and misses no must-have.${without}`;
  return `Take ${front.candidate} for ${scenarios}: its score is ${times(nearest)} that of ${nearest.other}, the next of those that cover them all.${without}`;
}

function inconclusiveText(front: Standing, doubts: readonly string[]): string {
  return `Inconclusive: ${front.candidate} is in front, but ${doubts.join('; ')}. More rounds, or a quieter machine, are needed.`;
}

function times({ ratio }: Comparison): string {
  return ratio === undefined
    ? 'unknown'
    : `${ratio.median.toFixed(2)} times (${ratio.low.toFixed(2)}–${ratio.high.toFixed(2)})`;
}

function comparisonClaim(comparison: Comparison): Claim {
  const { ours, other, verdict, because } = comparison;
  const reason = because === undefined ? '' : `: ${because}`;
  return {
    parts: [`The score of ${ours} is ${times(comparison)} that of ${other}: ${verdict}${reason}.`],
    restsOn: comparison.figures,
  };
}

function twinClaim(comparison: Comparison): Claim {
  const { ours, other, verdict } = comparison;
  const said =
    verdict === 'no difference'
      ? 'no difference, as it must be'
      : 'told apart although they are the same: this machine cannot tell smaller differences, and none is claimed';
  return {
    parts: [`${ours} and ${other} are one choice under two names (${times(comparison)}): ${said}.`],
    restsOn: comparison.figures,
  };
}

/** Each weighted figure of the one in front, beside the nearest other's. */
function measureClaims(results: Results, front: Standing, nearest: Comparison | undefined): Claim[] {
  return weightedMeasuresOf(results).map(({ scenario, measure }) => {
    const own: Claim['parts'] = [
      `${SCENARIO_WORDS[scenario].title}, ${MEASURE_WORDS[measure].full}: ${front.candidate} `,
      { figure: figureId(scenario, front.candidate, measure) },
    ];
    if (nearest === undefined) return { parts: [...own, '.'], restsOn: [] };
    return {
      parts: [...own, `, ${nearest.other} `, { figure: figureId(scenario, nearest.other, measure) }, '.'],
      restsOn: [],
    };
  });
}

function nobody(results: Results, found: Pick<Recommendation, 'standings' | 'twins'>): Recommendation {
  const combination = combinationOf(results, found.standings);
  const covered = combination.flatMap(({ scenario, candidate }) => (candidate ? [`${candidate} for ${scenario}`] : []));
  const open = combination.flatMap(({ scenario, candidate }) => (candidate ? [] : [scenario]));
  const instead =
    covered.length === 0
      ? 'Of those with every must-have none was measured in any scenario.'
      : `The fewest that cover what can be covered: ${covered.join(', ')}.`;
  return {
    ...found,
    outcome: 'nobody',
    choice: [],
    answer: `No candidate covers all of ${results.scenarios.map(({ name }) => name).join(', ')} and has every must-have, so none is recommended. ${instead}${covered.length === 0 || open.length === 0 ? '' : ` Nobody covers ${open.join(', ')}.`}`,
    comparisons: [],
    combination,
    claims: combination.flatMap(({ scenario, candidate }) => {
      if (candidate === undefined) return [];
      const ids = scoreFigures(results, candidate).filter((id) => id.startsWith(`${scenario}/`));
      return [{ parts: [`${candidate} covers ${scenario}: `, ...ids.map((figure) => ({ figure })), '.'], restsOn: [] }];
    }),
  };
}

/** Greedy would do for three scenarios, but the fewest is promised: all sets of one, two, three candidates are looked at. */
function combinationOf(results: Results, standings: readonly Standing[]): Recommendation['combination'] {
  const usable = standings.filter(({ missed }) => missed.length === 0);
  const covers = (name: string, scenario: ScenarioName) => cellOf(results, scenario, name).status === 'measured';
  const scenarios = results.scenarios.map(({ name }) => name);
  const coverable = scenarios.filter((scenario) => usable.some(({ candidate }) => covers(candidate, scenario)));
  let best: { size: number; score: number; parts: Map<ScenarioName, string> } | undefined;
  const look = (at: number, chosen: readonly Standing[]) => {
    if (chosen.length > coverable.length || (best && chosen.length > best.size)) return;
    const parts = new Map<ScenarioName, string>();
    let score = 0;
    for (const scenario of coverable) {
      const able = chosen.filter(({ candidate }) => covers(candidate, scenario));
      const winner = able.sort((a, b) => (b.scenarioScores[scenario] ?? 0) - (a.scenarioScores[scenario] ?? 0))[0];
      if (winner === undefined) break;
      parts.set(scenario, winner.candidate);
      score += Math.log(winner.scenarioScores[scenario] ?? Number.MIN_VALUE);
    }
    const isBetter = !best || chosen.length < best.size || score > best.score;
    if (parts.size === coverable.length && isBetter) best = { size: chosen.length, score, parts };
    for (let i = at; i < usable.length; i++) look(i + 1, [...chosen, usable[i] as Standing]);
  };
  look(0, []);
  return scenarios.map((scenario) => ({ scenario, candidate: best?.parts.get(scenario) }));
}

/** A claim as plain text, for a terminal. */
export function claimText(claim: Claim, results: Results): string {
  const byId = new Map(results.figures.map((figure) => [figure.id, figure]));
  return claim.parts
    .map((part) => {
      if (typeof part === 'string') return part;
      const figure = byId.get(part.figure);
      return figure === undefined ? 'not measured' : figureText(figure);
    })
    .join('');
}

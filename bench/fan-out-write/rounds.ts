/** Rounds in which every candidate saves a step once, in an order that rotates. */
import type { Goodput } from '../fan-out-read/floor.ts';
import type { Progress } from '../progress.ts';
import type { Pair } from '../statistics.ts';
import { CANDIDATES, type Candidate, measure, needsForebay, type StepTrial } from './candidates.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { Rig } from './rig.ts';

/** Steps that are not counted: daemons that serve a training job have been compiled long ago. What ours do is much the same for all. */
const WARM_UPS_FIRST = 2;
/** One in so many rounds has the candidates that are only shown. */
const RARE_EVERY = 5;

export interface Round {
  readonly goodput: Goodput;
  readonly trials: Readonly<Partial<Record<Candidate, StepTrial>>>;
}

export async function runRounds(
  rig: Rig,
  options: {
    what: string;
    count: number;
    candidates: readonly Candidate[];
    /** Candidates that are only shown: measured in the first rounds, and not warmed up. */
    rarely?: readonly Candidate[];
    checkpoint?: Checkpoint;
  },
  progress: Progress,
): Promise<readonly Round[]> {
  const { what, count, candidates, rarely = [], checkpoint } = options;
  const once = async (candidate: Candidate): Promise<StepTrial> => {
    const step = rig.freshStep(checkpoint);
    const trial = await measure(rig, step, candidate);
    await rig.forget(step);
    return trial;
  };
  // what a daemon and a job do first is also what their compilers see first
  const often = candidates.filter((one) => !rarely.includes(one));
  const first = often.find(needsForebay);
  for (const candidate of often) {
    progress.say(`${what}, not counted: ${CANDIDATES[candidate]}`);
    for (let i = 0; i < (candidate === first ? WARM_UPS_FIRST : 1); i++) await once(candidate);
  }
  const rounds: Round[] = [];
  for (let i = 0; i < count; i++) {
    const goodput = await rig.goodput();
    const trials: Partial<Record<Candidate, StepTrial>> = {};
    const measured = candidates.filter((one) => i % RARE_EVERY === 0 || !rarely.includes(one));
    for (let turn = 0; turn < measured.length; turn++) {
      const candidate = measured[(i + turn) % measured.length] as Candidate;
      progress.say(`${what}, round ${i + 1} of ${count}: ${CANDIDATES[candidate]}`);
      trials[candidate] = await once(candidate);
    }
    rounds.push({ goodput, trials });
  }
  return rounds;
}

export const trialsOf = (rounds: readonly Round[], candidate: Candidate): readonly StepTrial[] =>
  rounds.flatMap(({ trials }) => trials[candidate] ?? []);

/** One value of each of two candidates, within each round that has both. */
export function pairsOf(
  rounds: readonly Round[],
  ours: { candidate: Candidate; value: (trial: StepTrial) => number },
  baseline: { candidate: Candidate; value: (trial: StepTrial) => number },
): readonly Pair[] {
  return rounds.flatMap(({ trials }) => {
    const [one, other] = [trials[ours.candidate], trials[baseline.candidate]];
    return one && other ? [{ ours: ours.value(one), baseline: baseline.value(other) }] : [];
  });
}

export const blocked = ({ blockedS }: StepTrial): number => blockedS;
export const safe = ({ safeS = Number.NaN }: StepTrial): number => safeS;
export const durable = ({ durableS = Number.NaN }: StepTrial): number => durableS;
/** Between the rank that goes on and the step that survives a node: what a dead node would cost. */
export const exposed = ({ safeS = Number.NaN, blockedS }: StepTrial): number => Math.max(0, safeS - blockedS);

/**
 * Whether the simulator can be believed: it is given the links as they were measured, and what it says of the makespan is compared
 * with what was measured (DESIGN.md section 12).
 */
import { simulateFanOut } from '../../sim/fan-out/fan-out.ts';
import { CPU_BUSY_MAX } from '../cpu-busy.ts';
import type { Progress } from '../progress.ts';
import { type Figure, figure, shown } from '../result.ts';
import { bootstrap, median } from '../statistics.ts';
import type { Goodput } from './floor.ts';
import type { FanOutReadOptions, Part, Round } from './part.ts';
import type { Rig } from './rig.ts';
import { proveBytes, runTrial, type Trial, warmUp } from './trial.ts';

const MIB = 2 ** 20;
const ERROR_MAX = 0.1;
const SEEDS = 5;
/** Fewer nodes that are measured too; the others of the cluster want nothing. */
const SIZES = [2, 4] as const;
const TRIALS_MAX = 3;
/** A message leaves behind data: half of what the queue of a shaped link holds. */
const MESSAGE_MS = 10;
const DETECT_MS = 1000;
const LEASE_MS = 10_000;

interface Measured {
  readonly goodput: Goodput;
  readonly trial: Trial;
}

/** Seconds until the last node has everything, by the simulator; the median of some seeds. */
export function predictedS(
  options: Pick<FanOutReadOptions, 'chunks' | 'chunkMiB'>,
  { nodes, goodput }: { nodes: number; goodput: Goodput },
): number {
  const links = {
    nodes,
    chunks: options.chunks,
    chunkBytes: options.chunkMiB * MIB,
    linkBytesPerS: goodput.link,
    originLinks: goodput.origin / goodput.link,
    latencyMs: MESSAGE_MS,
    spread: 0,
    slow: 0,
    kill: 0,
    detectMs: DETECT_MS,
    leaseMs: LEASE_MS,
  };
  const seeds = Array.from({ length: SEEDS }, (_, index) => index + 1);
  return median(seeds.map((seed) => simulateFanOut('dealt', { ...links, seed }).makespanMs)) / 1000;
}

function errorFigure(options: FanOutReadOptions, nodes: number, measured: readonly Measured[]): Figure {
  const predictions = measured.map(({ goodput }) => predictedS(options, { nodes, goodput }));
  const errors = measured.map(({ trial }, index) => Math.abs((predictions[index] as number) / trial.makespanS - 1));
  const busy = median(measured.map(({ trial }) => trial.cpuBusy));
  const tookS = median(measured.map(({ trial }) => trial.makespanS));
  return figure(bootstrap(errors), '', {
    target: { atMost: ERROR_MAX },
    beside: `${nodes} nodes: simulated ${shown(median(predictions))} s, measured ${shown(tookS)} s, CPU ${shown(busy)} busy`,
    inconclusive: busy > CPU_BUSY_MAX,
  });
}

/** Of all nodes, from what the rounds measured. */
export function predictionOfRounds(rounds: readonly Round[], options: FanOutReadOptions): Part {
  const measured = rounds.flatMap(({ goodput, trials: { warm } }) => (warm ? [{ goodput, trial: warm }] : []));
  return { figures: { predictionError: errorFigure(options, options.nodes, measured) }, trials: {} };
}

/** Of fewer nodes, measured for this. */
export async function predictionTrials(rig: Rig, options: FanOutReadOptions, progress: Progress): Promise<Part> {
  const figures: Record<string, Figure> = {};
  const trials: unknown[] = [];
  const wanted = Math.min(TRIALS_MAX, options.pairs);
  for (const size of SIZES.filter((count) => count < options.nodes)) {
    const nodes = rig.nodes.slice(0, size);
    const measured: Measured[] = [];
    for (let i = 0; i < wanted; i++) {
      progress.say(`prediction: ${size} nodes, trial ${i + 1} of ${wanted}`);
      const goodput = await rig.goodput();
      const object = await rig.freshObject();
      const trial = await runTrial(rig, object, { candidate: `warm, ${size} nodes`, get: warmUp(rig), nodes });
      await proveBytes(rig, object, nodes);
      await rig.forget(object);
      measured.push({ goodput, trial });
    }
    figures[`predictionError${size}`] = errorFigure(options, size, measured);
    trials.push(...measured);
  }
  return { figures, trials: { prediction: trials } };
}

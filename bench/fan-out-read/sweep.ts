/** How much a cluster gains as the origin gets faster, and from where on it gains nothing. */

import { seriesSvg } from '../plot.ts';
import type { Progress } from '../progress.ts';
import { type Figure, figure, shown, single } from '../result.ts';
import { median, type Pair, ratio } from '../statistics.ts';
import { measure } from './candidates.ts';
import type { FanOutReadOptions, Part } from './part.ts';
import type { Rig } from './rig.ts';

const ORIGIN_LINKS = [1, 2, 4, 8, 16] as const;
const TRIALS = 3;
/** Links are this fraction of what they are elsewhere: with a fast origin all nodes are fed at full speed at once, which the CPU must carry. */
const LINK_SHARE = 0.5;

export interface SweepPoint {
  readonly originLinks: number;
  readonly speedup: number;
}

/** Where the speedup falls to one, between the two points around it (straight in the logarithm of the origin's links); undefined when it does not. */
export function crossover(points: readonly SweepPoint[]): number | undefined {
  for (const [i, point] of points.entries()) {
    if (point.speedup > 1) continue;
    const before = points[i - 1];
    if (before === undefined) return point.originLinks;
    const share = (before.speedup - 1) / (before.speedup - point.speedup);
    return before.originLinks * (point.originLinks / before.originLinks) ** share;
  }
  return undefined;
}

export async function sweep(rig: Rig, options: FanOutReadOptions, progress: Progress): Promise<Part> {
  const linkMbit = options.linkMbit * LINK_SHARE;
  const setLinks = (mbit: number) => Promise.all(rig.nodes.map(({ host }) => host.setRate(mbit)));
  const figures: Record<string, Figure> = {};
  const points: SweepPoint[] = [];
  const trials: unknown[] = [];
  await setLinks(linkMbit);
  try {
    for (const originLinks of ORIGIN_LINKS) {
      await rig.originHost.setRate(linkMbit * originLinks);
      const pairs: Pair[] = [];
      const busy: number[] = [];
      for (let i = 0; i < TRIALS; i++) {
        progress.say(`sweep: origin ÷ link = ${originLinks}, trial ${i + 1} of ${TRIALS}`);
        const order = i % 2 === 0 ? (['warm', 'direct'] as const) : (['direct', 'warm'] as const);
        const done = { [order[0]]: await measure(rig, order[0]), [order[1]]: await measure(rig, order[1]) };
        const { warm, direct } = done as Record<'warm' | 'direct', Awaited<ReturnType<typeof measure>>>;
        pairs.push({ ours: direct.makespanS, baseline: warm.makespanS });
        busy.push(Math.max(warm.cpuBusy, direct.cpuBusy));
        trials.push({ originLinks, warm, direct });
      }
      const interval = ratio(pairs);
      points.push({ originLinks, speedup: interval.median });
      figures[`speedupOrigin${originLinks}`] = figure(interval, '×', {
        beside: `over reading from an origin of ${originLinks} links of ${shown(linkMbit)} Mbit/s; CPU ${shown(median(busy))} busy`,
      });
    }
  } finally {
    await setLinks(options.linkMbit);
    await rig.originHost.setRate(options.linkMbit * options.originLinks);
  }
  const at = crossover(points);
  const most = ORIGIN_LINKS.at(-1) as number;
  return {
    figures: {
      ...figures,
      crossover: single(at ?? most, 'links', {
        beside:
          at === undefined ? 'Forebay is faster up to the fastest origin' : 'beyond it reading directly is as fast',
      }),
    },
    trials: { sweep: trials },
    plots: {
      sweep: seriesSvg({
        title: 'Speed-up over every node reading from the origin',
        x: 'links of origin',
        y: '×',
        limit: { value: 1, label: 'as fast as directly' },
        series: [
          { label: `${options.nodes} nodes`, points: points.map((point) => [point.originLinks, point.speedup]) },
        ],
      }),
    },
  };
}

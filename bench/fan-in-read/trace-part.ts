/** A trace of conversations against one node, beside an ideal LRU of equal size and a cache without end. */
import { basename } from 'node:path';
import { smallContentMaxBytes } from '../../src/core/limits.ts';
import { seriesSvg } from '../plot.ts';
import { type Figure, shown, single } from '../result.ts';
import { quantile } from '../statistics.ts';
import { type HitCount, hitRatio, replayIdeal } from './ideal-cache.ts';
import type { Replayed } from './kv-command.ts';
import { Bench, doorsOf } from './local-nodes.ts';
import type { FanInReadOptions, Measured, Part } from './part.ts';
import { VOLUME } from './rig.ts';
import { readTrace, type TraceRequest } from './trace.ts';

/** Of a value that stands for a block: small, so that an hour of them fits a minute, but a file of its own in a share of this size, as real ones of megabytes are. */
const VALUE_BYTES = smallContentMaxBytes;
const RATIO_MIN = 0.98;
/** As clients usually ask for (FIELD of KV clients), in the trace's time. */
const LEASE_MS = 10_000;
const P99 = 0.99;
const POINTS = 60;
const MINUTE_MS = 60_000;

/** Hits of the requests since the point before ÷ blocks, over time. */
function overTime(counts: readonly HitCount[]): [number, number][] {
  const lastMs = Math.max(1, counts.at(-1)?.atMs ?? 1);
  const points = Array.from({ length: POINTS }, (): HitCount[] => []);
  for (const count of counts)
    (points[Math.min(POINTS - 1, Math.floor((count.atMs / lastMs) * POINTS))] as HitCount[]).push(count);
  return points.flatMap((some, i): [number, number][] =>
    some.length === 0 ? [] : [[((i + 1) * lastMs) / POINTS / MINUTE_MS, hitRatio(some)]],
  );
}

function plotOf(blocksMax: number, replayed: Replayed, requests: readonly TraceRequest[]): string {
  return seriesSvg({
    title: `Prefix blocks that were hit, a cache of ${shown(blocksMax)} blocks`,
    x: 'minutes',
    y: 'of blocks',
    series: [
      { label: 'Forebay', points: overTime(replayed.counts) },
      { label: 'ideal LRU', points: overTime(replayIdeal(requests, blocksMax)) },
      { label: 'without end', points: overTime(replayIdeal(requests, Number.POSITIVE_INFINITY)) },
    ],
  });
}

async function replay(blocksMax: number, options: FanInReadOptions, onDone: (done: number) => void): Promise<Replayed> {
  const shareBytes = blocksMax * VALUE_BYTES;
  await using bench = await Bench.open(4 * shareBytes, options.directory);
  const daemon = await bench.startNode('forebay', shareBytes);
  return await bench.kv.replay(
    {
      node: doorsOf(daemon),
      volume: VOLUME,
      traceFile: options.traceFile,
      requestsMax: options.traceRequestsMax,
      speed: options.speed,
      leaseMs: LEASE_MS,
      sizeBytes: VALUE_BYTES,
    },
    onDone,
  );
}

function figureOf(blocksMax: number, replayed: Replayed, requests: readonly TraceRequest[]): Figure {
  const [ours, lru, endless] = [
    hitRatio(replayed.counts),
    hitRatio(replayIdeal(requests, blocksMax)),
    hitRatio(replayIdeal(requests, Number.POSITIVE_INFINITY)),
  ];
  const percent = (value: number) => `${shown(100 * value)} %`;
  const p99 = (values: readonly number[]) => (values.length === 0 ? '–' : `${shown(quantile(values, P99))} ms`);
  return single(ours / lru, '', {
    target: { atLeast: RATIO_MIN },
    beside: `${percent(ours)} of blocks against ${percent(lru)} of an ideal LRU and ${percent(endless)} without end; ${replayed.missed} promised and missed; p99 of lookups ${p99(replayed.lookupMs)}, of reads ${p99(replayed.getMs)}`,
  });
}

export const tracePart: Part = {
  figures: ['traceHitRatio'],
  async run(options, progress): Promise<Measured> {
    const requests = readTrace(options.traceFile).slice(0, options.traceRequestsMax);
    const figures: Record<string, Figure> = {};
    const trials: Record<string, readonly unknown[]> = {};
    const plots: Record<string, string> = {};
    for (const blocksMax of options.cacheBlocks) {
      progress.say(`${basename(options.traceFile)} at a cache of ${blocksMax} blocks`);
      const replayed = await replay(blocksMax, options, (done) =>
        progress.say(`cache of ${blocksMax} blocks, request`, done, requests.length),
      );
      figures[`traceHitRatio${blocksMax}`] = figureOf(blocksMax, replayed, requests);
      const { promised, missed, refused, seconds, counts } = replayed;
      trials[`trace${blocksMax}`] = [{ promised, missed, refused, seconds, overTime: overTime(counts) }];
      plots[`trace-${blocksMax}`] = plotOf(blocksMax, replayed, requests);
    }
    return { figures, trials, plots };
  },
};

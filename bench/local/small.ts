/** Signed GETs of 4 KiB objects per second against nginx's unsigned ones of the same bytes as files. */
import { join } from 'node:path';
import type { Daemon } from '../daemon.ts';
import { OriginProcess } from '../origin-process.ts';
import type { GeneratedObject } from '../origin-server.ts';
import { barsSvg } from '../plot.ts';
import { RawReader } from '../raw-reader.ts';
import { figure, shown } from '../result.ts';
import { smallLoad } from '../small-load.ts';
import { bootstrap, difference, interleave, median, ratio } from '../statistics.ts';
import {
  forebaySide,
  type Measurement,
  pathOf,
  type Side,
  startBaseline,
  startForebay,
  VOLUME,
} from './measurement.ts';

const SIZE_BYTES = 4096;
const CONNECTIONS = 16;
const TRIAL_S = 1;
const PAIRS = 30;
const PAIRS_FULL = 60;

export const smallObjects = (count: number): GeneratedObject[] =>
  Array.from({ length: count }, (_, i) => ({ key: `small/${i}`, sizeBytes: SIZE_BYTES, seed: i + 1 }));

/** Reads every object once and checks its bytes: warms the side, and proves before and after what wrk does not look at. */
export async function checkAll(side: Side, objects: readonly GeneratedObject[]): Promise<void> {
  const reader = new RawReader(side.host, { bufferBytes: SIZE_BYTES, ...(side.key && { key: side.key }) });
  await reader.connect();
  for (const { key, seed, sizeBytes } of objects)
    await reader.read({ path: pathOf(key), seed, start: 0, end: sizeBytes });
  reader.close();
}

/** One trial of load on a side; the rate of its answers. */
export function loader(side: Side, objects: readonly GeneratedObject[], directory: string) {
  return () =>
    smallLoad({
      host: side.host,
      paths: objects.map((object) => pathOf(object.key)),
      ...(side.key && { key: side.key }),
      connections: CONNECTIONS,
      seconds: TRIAL_S,
      scriptFile: join(directory, 'small.lua'),
    });
}

export async function startSmall(directory: string, objects: readonly GeneratedObject[], stack: AsyncDisposableStack) {
  const origin = await OriginProcess.start({ bucket: VOLUME, generated: objects });
  stack.defer(() => origin.stop());
  const daemon: Daemon = await startForebay(join(directory, 'forebay'), origin);
  stack.defer(async () => void (await daemon.stop()));
  return { origin, daemon };
}

export const small: Measurement = {
  figures: ['getSmallRatio'],
  async run(run) {
    await using stack = new AsyncDisposableStack();
    const objects = smallObjects(1000);
    const count = run.full ? PAIRS_FULL : PAIRS;
    const { origin, daemon } = await startSmall(run.directory, objects, stack);
    const ours = forebaySide(daemon);
    const baseline = await startBaseline(run, stack, origin, objects);
    for (const side of [ours, baseline]) await checkAll(side, objects);
    const pairs = await interleave(
      count,
      { ours: loader(ours, objects, run.directory), baseline: loader(baseline, objects, run.directory) },
      (done) => run.progress.say('GETs of 4 KiB, pair', done, count),
    );
    for (const side of [ours, baseline]) await checkAll(side, objects);
    const rates = pairs.map((pair) => ({ ours: pair.ours.requestsPerS, baseline: pair.baseline.requestsPerS }));
    const interval = ratio(rates);
    const of = (side: 'ours' | 'baseline') => rates.map((rate) => rate[side]);
    const text = `${shown(median(of('ours')))} against ${baseline.name}'s ${shown(median(of('baseline')))} GETs/s, p99 ${shown(median(pairs.map((pair) => pair.ours.p99Ms)))} against ${shown(median(pairs.map((pair) => pair.baseline.p99Ms)))} ms`;
    const bar = (label: string, values: readonly number[]) => {
      const { median: value, low, high } = bootstrap(values);
      return { label, value, low, high };
    };
    return {
      figures: {
        getSmallRatio: figure(interval, '', {
          ...(run.self ? {} : { target: { atLeast: 0.4 } }),
          beside: run.self ? `${difference(interval)}; ${text}` : text,
        }),
      },
      trials: { small: pairs },
      plots: {
        small: barsSvg({
          title: 'GETs of 4 KiB per second, 16 connections',
          unit: '/s',
          bars: [bar('Forebay (signed)', of('ours')), bar(baseline.name, of('baseline'))],
        }),
      },
    };
  },
};

/** Local hits of 64 MiB against nginx's sendfile of the same bytes: speed and CPU time, by one client over one connection. */
import { join } from 'node:path';
import { countRequests } from '../origin-log.ts';
import { OriginProcess } from '../origin-process.ts';
import { barsSvg } from '../plot.ts';
import { cpuSeconds } from '../process-usage.ts';
import { RawReader } from '../raw-reader.ts';
import { figure, shown } from '../result.ts';
import { bootstrap, difference, interleave, median, ratio } from '../statistics.ts';
import {
  forebaySide,
  GB,
  type Measurement,
  MiB,
  pathOf,
  type Run,
  type Side,
  startBaseline,
  startForebay,
  VOLUME,
} from './measurement.ts';

const SIZE_BYTES = 64 * MiB;
const OBJECT = { key: 'large', sizeBytes: SIZE_BYTES, seed: 1 };
const GETS_PER_TRIAL = 4;
const PAIRS = 30;
const PAIRS_FULL = 100;

interface Trial {
  readonly seconds: number;
  readonly cpuS: number;
}

/** Each trial has a connection of its own: which thread and core serve one is luck that lasts as long as the connection. */
function trialOf(side: Side, buffer: Buffer): () => Promise<Trial> {
  return async () => {
    const reader = new RawReader(side.host, {
      bufferBytes: SIZE_BYTES,
      buffer,
      ...(side.key && { key: side.key }),
    });
    await reader.connect();
    let seconds = 0;
    const cpuFrom = cpuSeconds(side.pid);
    for (let i = 0; i < GETS_PER_TRIAL; i++)
      seconds += (await reader.read({ path: pathOf(OBJECT.key), seed: OBJECT.seed, start: 0, end: SIZE_BYTES }))
        .seconds;
    reader.close();
    return { seconds, cpuS: cpuSeconds(side.pid) - cpuFrom };
  };
}

async function measure(run: Run) {
  await using stack = new AsyncDisposableStack();
  const origin = await OriginProcess.start({ bucket: VOLUME, generated: [OBJECT] });
  stack.defer(() => origin.stop());
  const daemon = await startForebay(join(run.directory, 'forebay'), origin);
  stack.defer(async () => void (await daemon.stop()));
  const baseline = await startBaseline(run, stack, origin, [OBJECT]);
  const buffer = Buffer.alloc(SIZE_BYTES, 0xff);
  const sides = { ours: trialOf(forebaySide(daemon), buffer), baseline: trialOf(baseline, buffer) };
  for (let warm = 0; warm < 3; warm++) {
    await sides.ours();
    await sides.baseline();
  }
  await origin.reset();
  const pairs = await interleave(run.full ? PAIRS_FULL : PAIRS, sides, (done) =>
    run.progress.say('hits of 64 MiB, pair', done, run.full ? PAIRS_FULL : PAIRS),
  );
  const { gets } = countRequests(await origin.requests());
  if (gets > 0) throw new Error(`hits went to the origin: ${gets} GETs`);
  return { pairs, baseline: baseline.name };
}

export const hit: Measurement = {
  figures: ['s3HitRatio', 's3CpuRatio'],
  async run(run) {
    const { pairs, baseline } = await measure(run);
    const bytes = SIZE_BYTES * GETS_PER_TRIAL;
    const speed = (trial: Trial) => bytes / GB / trial.seconds;
    const cpu = (trial: Trial) => trial.cpuS / (bytes / GB);
    const speeds = ratio(pairs.map(({ ours, baseline: b }) => ({ ours: speed(ours), baseline: speed(b) })));
    const cpus = ratio(pairs.map(({ ours, baseline: b }) => ({ ours: cpu(ours), baseline: cpu(b) })));
    const beside = (of: (trial: Trial) => number, unit: string) =>
      `${shown(median(pairs.map((pair) => of(pair.ours))))} against ${baseline}'s ${shown(median(pairs.map((pair) => of(pair.baseline))))} ${unit}`;
    const told = (interval: typeof speeds, text: string) => (run.self ? `${difference(interval)}; ${text}` : text);
    const bars = (of: (trial: Trial) => number) =>
      (['ours', 'baseline'] as const).map((side) => {
        const { median: value, low, high } = bootstrap(pairs.map((pair) => of(pair[side])));
        return { label: side === 'ours' ? 'Forebay' : baseline, value, low, high };
      });
    return {
      figures: {
        s3HitRatio: figure(speeds, '', {
          ...(run.self ? {} : { target: { atLeast: 1 } }),
          beside: told(speeds, beside(speed, 'GB/s')),
        }),
        s3CpuRatio: figure(cpus, '', {
          ...(run.self ? {} : { target: { atMost: 1 } }),
          beside: told(cpus, beside(cpu, 'CPU s/GB')),
        }),
      },
      trials: { hit: pairs },
      plots: {
        'hit-speed': barsSvg({ title: '64 MiB GETs, one connection', unit: 'GB/s', bars: bars(speed) }),
        'hit-cpu': barsSvg({ title: 'CPU time of the server per GB', unit: 's/GB', bars: bars(cpu) }),
      },
    };
  },
};

/**
 * A content from one node into a file of another, over loopback: speed against a raw TCP stream into a file, and the
 * receiver's CPU time against the portable path's. The holder is one process for all, and sends by the same pumps.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { loadSockets } from '../../src/io/real/libc-sockets.ts';
import { patternSlices } from '../pattern.ts';
import { barsSvg } from '../plot.ts';
import { cpuSeconds } from '../process-usage.ts';
import { PullProcess, type PullRole } from '../pull-process.ts';
import { type Figure, figure, shown } from '../result.ts';
import { bootstrap, difference, type Interval, interleave, median, ratio } from '../statistics.ts';
import { GB, type Measurement, MiB, type Run } from './measurement.ts';

const SIZE_BYTES = 256 * MiB;
const PAIRS = 30;
const PAIRS_FULL = 100;
const WARM = 3;

interface Trial {
  readonly seconds: number;
  readonly cpuS: number;
}

const speed = (trial: Trial) => SIZE_BYTES / GB / trial.seconds;
const cpu = (trial: Trial) => trial.cpuS / (SIZE_BYTES / GB);

function writeContent(path: string): void {
  const fd = openSync(path, 'w');
  for (const slice of patternSlices(7, SIZE_BYTES)) writeSync(fd, slice);
  closeSync(fd);
}

async function measure(run: Run, baseline: PullRole) {
  await using stack = new AsyncDisposableStack();
  const start = () => {
    const started = PullProcess.start();
    stack.defer(() => started.stop());
    return started;
  };
  const content = join(run.directory, 'content');
  writeContent(content);
  const ports = await start().hold(content, SIZE_BYTES);
  const side = async (role: PullRole, name: string) => {
    const receiver = start();
    await receiver.receive(role, ports, SIZE_BYTES);
    const path = join(run.directory, name);
    return async (): Promise<Trial> => {
      const from = cpuSeconds(receiver.pid);
      const seconds = await receiver.pull(path);
      const cpuS = cpuSeconds(receiver.pid) - from;
      await receiver.check(path);
      return { seconds, cpuS };
    };
  };
  const sides = { ours: await side('threads', 'ours'), baseline: await side(baseline, 'baseline') };
  for (let warm = 0; warm < WARM; warm++) {
    await sides.ours();
    await sides.baseline();
  }
  const count = run.full ? PAIRS_FULL : PAIRS;
  return await interleave(count, sides, (done) => run.progress.say(`pulls against ${baseline}, pair`, done, count));
}

type Pairs = Awaited<ReturnType<typeof measure>>;

function told(run: Run, interval: Interval, pairs: Pairs, of: (trial: Trial) => number, unit: string, against: string) {
  const [ours, theirs] = (['ours', 'baseline'] as const).map((side) =>
    shown(median(pairs.map((pair) => of(pair[side])))),
  );
  const text = `${ours} against ${against} ${theirs} ${unit}`;
  return run.self ? `${difference(interval)}; ${text}` : text;
}

function bars(pairs: Pairs, of: (trial: Trial) => number, against: string) {
  return (['ours', 'baseline'] as const).map((side) => {
    const { median: value, low, high } = bootstrap(pairs.map((pair) => of(pair[side])));
    return { label: side === 'ours' ? 'pullers' : against, value, low, high };
  });
}

export const pull: Measurement = {
  figures: ['pullRatio', 'pullCpuRatio'],
  async run(run) {
    const raw = await measure(run, run.self ? 'threads' : 'raw');
    const portable = await measure(run, run.self ? 'threads' : 'streams');
    const speeds = ratio(raw.map(({ ours, baseline }) => ({ ours: speed(ours), baseline: speed(baseline) })));
    const cpus = ratio(portable.map(({ ours, baseline }) => ({ ours: cpu(ours), baseline: cpu(baseline) })));
    const checksums = `CRC32 by ${loadSockets()?.checksumBy ?? 'nobody'}, both sent by the same pumps over Reno`;
    const figures: Record<string, Figure> = {
      pullRatio: figure(speeds, '', {
        ...(run.self ? {} : { target: { atLeast: 0.9 } }),
        beside: `${told(run, speeds, raw, speed, 'GB/s', "raw TCP's")}; ${checksums}`,
      }),
      pullCpuRatio: figure(cpus, '', {
        ...(run.self ? {} : { target: { atMost: 0.5 } }),
        beside: told(run, cpus, portable, cpu, 'CPU s/GB of the receiver', "streams'"),
      }),
    };
    return {
      figures,
      trials: { pullAgainstRaw: raw, pullAgainstStreams: portable },
      plots: {
        'pull-speed': barsSvg({
          title: '256 MiB into a file, one connection',
          unit: 'GB/s',
          bars: bars(raw, speed, 'raw TCP'),
        }),
        'pull-cpu': barsSvg({
          title: 'CPU time of the receiver per GB',
          unit: 's/GB',
          bars: bars(portable, cpu, 'streams'),
        }),
      },
    };
  },
};

/** Bytes that come from the origin: their CPU time, and that they come once however many ask. */
import { join } from 'node:path';
import { countRequests, coverage } from '../origin-log.ts';
import { OriginProcess } from '../origin-process.ts';
import { RawReader } from '../raw-reader.ts';
import { figure, shown, single } from '../result.ts';
import { bootstrap, median } from '../statistics.ts';
import { GB, GiB, KEY, type Measurement, MiB, pathOf, startForebay, VOLUME } from './measurement.ts';

const SIZE_BYTES = GiB;
const FILLS = 5;
const READERS = 32;
const CHUNK_BYTES = 16 * MiB;

const objects = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ key: `cold/${i}`, sizeBytes: SIZE_BYTES, seed: i + 1 }));

async function readAll(host: string, object: { key: string; seed: number }, signed: boolean): Promise<number> {
  const reader = new RawReader(host, { bufferBytes: MiB, ...(signed && { key: KEY }) });
  await reader.connect();
  const { seconds } = await reader.read({ path: pathOf(object.key), seed: object.seed, start: 0, end: SIZE_BYTES });
  reader.close();
  return seconds;
}

export const fill: Measurement = {
  figures: ['fillCpuPerGB', 'fillRatio'],
  async run(run) {
    await using stack = new AsyncDisposableStack();
    const generated = objects(FILLS);
    const origin = await OriginProcess.start({ bucket: VOLUME, generated });
    stack.defer(() => origin.stop());
    const daemon = await startForebay(join(run.directory, 'forebay'), origin, { node: { capacity: '8GiB' } });
    stack.defer(async () => void (await daemon.stop()));
    const trials: { cpuS: number; seconds: number; directSeconds: number }[] = [];
    for (const [i, object] of generated.entries()) {
      run.progress.say('cold reads of 1 GiB', i + 1, FILLS);
      const directSeconds = await readAll(new URL(origin.endpoint).host, object, false);
      const from = daemon.cpuSeconds();
      const seconds = await readAll(daemon.s3, object, true);
      trials.push({ cpuS: daemon.cpuSeconds() - from, seconds, directSeconds });
    }
    const cpu = bootstrap(trials.map((trial) => trial.cpuS / (SIZE_BYTES / GB)));
    const speed = shown(median(trials.map((trial) => SIZE_BYTES / GB / trial.seconds)));
    return {
      figures: {
        fillCpuPerGB: figure(cpu, 's/GB', { beside: `origin → cache file → reader, ${speed} GB/s` }),
        fillRatio: figure(bootstrap(trials.map((trial) => trial.directSeconds / trial.seconds)), '', {
          beside: 'speed of one cold reader ÷ the same read directly from the origin',
        }),
      },
      trials: { fill: trials },
    };
  },
};

export const coldReaders: Measurement = {
  figures: ['coldReaders', 'coldReadersOriginBytesRatio'],
  async run(run) {
    await using stack = new AsyncDisposableStack();
    const [object] = objects(1) as [{ key: string; sizeBytes: number; seed: number }];
    const origin = await OriginProcess.start({ bucket: VOLUME, generated: [object] });
    stack.defer(() => origin.stop());
    const daemon = await startForebay(join(run.directory, 'forebay'), origin, { node: { capacity: '4GiB' } });
    stack.defer(async () => void (await daemon.stop()));
    run.progress.say(`${READERS} cold readers of one object of 1 GiB`);
    const seconds = await Promise.all(Array.from({ length: READERS }, () => readAll(daemon.s3, object, true)));
    const requests = await origin.requests();
    const { twiceBytes, neverBytes } = coverage(requests, object.key, SIZE_BYTES);
    const counts = countRequests(requests);
    const spread = `readers ended after ${shown(Math.min(...seconds))}–${shown(Math.max(...seconds))} s`;
    return {
      figures: {
        coldReaders: single(twiceBytes + neverBytes, 'bytes', {
          target: { atMost: 0 },
          beside: `read twice or never at the origin; ${spread}, every byte checked`,
        }),
        coldReadersOriginBytesRatio: single(counts.getBytes / SIZE_BYTES, '', {
          target: { atMost: 1 },
          beside: `${counts.gets} GETs at the origin, predicted ${SIZE_BYTES / CHUNK_BYTES}; ${counts.heads} HEADs`,
        }),
      },
      trials: { coldReaders: seconds, coldReadersRequests: requests },
    };
  },
};

/** 20 GB through a daemon whose memory is bounded, with a cache much smaller than that, so that eviction works all the time. */
import { join } from 'node:path';
import { countRequests } from '../origin-log.ts';
import { OriginProcess } from '../origin-process.ts';
import { seriesSvg } from '../plot.ts';
import { RawReader } from '../raw-reader.ts';
import { shown, single } from '../result.ts';
import { GB, GiB, KEY, type Measurement, MiB, pathOf, startForebay, VOLUME } from './measurement.ts';

const OBJECTS = 20;
const READERS = 2;
const SAMPLE_MS = 250;
const BOUND_MIB = 512;

export const memory: Measurement = {
  figures: ['memoryPeakMiB'],
  async run(run) {
    await using stack = new AsyncDisposableStack();
    const generated = Array.from({ length: OBJECTS }, (_, i) => ({ key: `set/${i}`, sizeBytes: GiB, seed: i + 1 }));
    const origin = await OriginProcess.start({ bucket: VOLUME, generated });
    stack.defer(() => origin.stop());
    const node = { capacity: '4GiB', memory: '256MiB' };
    const daemon = await startForebay(join(run.directory, 'forebay'), origin, { node });
    stack.defer(async () => void (await daemon.stop()));
    const from = performance.now();
    const samples: [number, number][] = [];
    const timer = setInterval(() => {
      if (!daemon.hasEnded) samples.push([(performance.now() - from) / 1000, daemon.memory().residentBytes / MiB]);
    }, SAMPLE_MS);
    stack.defer(() => clearInterval(timer));
    const left = [...generated];
    const readLeft = async () => {
      const reader = new RawReader(daemon.s3, { bufferBytes: MiB, key: KEY });
      await reader.connect();
      for (let object = left.shift(); object !== undefined; object = left.shift()) {
        run.progress.say('objects of 1 GiB through 256 MiB of memory', OBJECTS - left.length, OBJECTS);
        await reader.read({ path: pathOf(object.key), seed: object.seed, start: 0, end: GiB });
      }
      reader.close();
    };
    await Promise.all(Array.from({ length: READERS }, readLeft));
    const seconds = (performance.now() - from) / 1000;
    const { peakBytes } = daemon.memory();
    const { getBytes } = countRequests(await origin.requests());
    const total = OBJECTS * GiB;
    return {
      figures: {
        memoryPeakMiB: single(peakBytes / MiB, 'MiB', {
          target: { atMost: BOUND_MIB },
          beside: `${shown(total / GB)} GB at ${shown(total / GB / seconds)} GB/s, origin bytes ÷ size ${shown(getBytes / total)}, every byte checked`,
        }),
      },
      trials: { memory: samples },
      plots: {
        memory: seriesSvg({
          title: 'Resident memory while 20 GiB pass through, node.memory = 256 MiB',
          x: 's',
          y: 'MiB',
          limit: { value: BOUND_MIB, label: 'bound' },
          series: [{ label: 'resident', points: samples }],
        }),
      },
    };
  },
};

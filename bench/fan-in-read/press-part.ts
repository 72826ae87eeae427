/** Lookups at a cache of a fifth of what is asked for: what is promised is there, whatever is evicted meanwhile. */
import { shown, single } from '../result.ts';
import { quantile } from '../statistics.ts';
import { Bench, doorsOf } from './local-nodes.ts';
import type { Part } from './part.ts';
import { meanValueBytes } from './press-task.ts';
import { VOLUME } from './rig.ts';

const SHARE_BYTES = 16 * 2 ** 20;
const SIZE_BYTES = 16 * 1024;
const CHAIN_VALUES = 8;
/** The working set ÷ what the caches may hold. */
const OVER = 5;
const CLIENTS_PER_NODE = 3;
/** Long enough that a holder on a busy machine answers in it, short enough that most leases end while the bench runs. */
const LEASE_MS = 2000;
const P99 = 0.99;

export const pressPart: Part = {
  figures: ['promisedThenMissed'],
  async run(options, progress) {
    const shares = options.pressNodes * SHARE_BYTES;
    const chains = Math.round((OVER * shares) / (CHAIN_VALUES * meanValueBytes(SIZE_BYTES)));
    progress.say(`${options.pressNodes} nodes whose caches hold a fifth of what is asked for`);
    await using bench = await Bench.open(4 * shares, options.directory);
    const daemons = await bench.startCluster(options.pressNodes, SHARE_BYTES);
    const pressed = await bench.kv.press(
      {
        nodes: daemons.map(doorsOf),
        volume: VOLUME,
        clientsPerNode: CLIENTS_PER_NODE,
        lookups: options.pressLookups,
        leaseMs: LEASE_MS,
        chains,
        chainValues: CHAIN_VALUES,
        sizeBytes: SIZE_BYTES,
        seed: 1,
      },
      (done) => progress.say('lookups', done, options.pressLookups),
    );
    const { asked, promised, missed, stored, refused, lookups } = pressed;
    if (promised === 0) throw new Error('no lookup promised anything: nothing was measured');
    const p99 = (values: readonly number[]) => shown(quantile(values, P99));
    return {
      figures: {
        promisedThenMissed: single(missed, '', {
          target: { atMost: 0 },
          beside: `of ${shown(promised)} values promised by ${shown(lookups)} lookups of ${shown(asked)}; ${shown(stored)} stored, ${shown(refused)} refused; p99 of lookups ${p99(pressed.lookupMs)} ms, of reads ${p99(pressed.getMs)} ms`,
        }),
      },
      trials: { press: [{ ...pressed, lookupMs: undefined, getMs: undefined }] },
    };
  },
};

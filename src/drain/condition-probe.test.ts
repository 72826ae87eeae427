import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRealClock } from '../io/real/clock.ts';
import { createRealRandom } from '../io/real/random.ts';
import { createMemoryOrigin } from '../origin/memory.ts';
import type { Origin } from '../origin/origin.ts';
import { probeConditions } from './condition-probe.ts';

const io = { clock: createRealClock(), random: createRealRandom() };
const signal = new AbortController().signal;

/** A store that answers 200 to conditions that it does not know. */
function careless(origin: Origin, calls: { puts?: true; uploads?: true }): Origin {
  return Object.assign(Object.create(origin) as Origin, {
    put: (...[key, body, options]: Parameters<Origin['put']>) => {
      const { condition: _, ...rest } = options;
      return origin.put(key, body, calls.puts ? rest : options);
    },
    begin: (...given: Parameters<Origin['begin']>) => origin.begin(...given),
    part: (...given: Parameters<Origin['part']>) => origin.part(...given),
    finalise: (...[upload, parts, options]: Parameters<Origin['finalise']>) => {
      const { condition: _, ...rest } = options;
      return origin.finalise(upload, parts, calls.uploads ? rest : options);
    },
    abort: (...given: Parameters<Origin['abort']>) => origin.abort(...given),
    delete: (...given: Parameters<Origin['delete']>) => origin.delete(...given),
  });
}

test('S-8: which conditions a store keeps is found out by trying, and nothing stays of that', async () => {
  for (const [calls, kept] of [
    [{}, { puts: true, uploads: true }],
    [{ uploads: true }, { puts: true, uploads: false }],
    [{ puts: true }, { puts: false, uploads: false }],
  ] as const) {
    const origin = createMemoryOrigin(io);
    assert.deepEqual(await probeConditions(careless(origin, calls), { random: io.random, signal }), kept);
    assert.deepEqual((await origin.list({ prefix: '', limit: 10 })).objects, []);
  }
});

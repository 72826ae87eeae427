/** Listings with what was written laid over them, against a plain model, on a node of a simulated cluster. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { originContentId } from '../../src/core/ids.ts';
import { compareKeys } from '../../src/core/key-order.ts';
import { recordsPerWindowMax } from '../../src/core/limits.ts';
import type { ObjectRecord } from '../../src/write/object-record.ts';
import { contentOf, dirty, stub, tombstone } from './samples.ts';
import { ramp, SimNodes, type SimReadNode, VOLUME } from './sim-nodes.ts';

interface Listed {
  readonly name: string;
  readonly doorEtag?: string;
  readonly sizeBytes?: number;
}

interface Asked {
  readonly prefix: string;
  readonly delimiter?: string;
  readonly limit: number;
}

/** All pages of a listing, one after the other. */
async function listed(sim: SimNodes, { reader }: SimReadNode, asked: Asked): Promise<Listed[]> {
  const found: Listed[] = [];
  let after: string | undefined;
  do {
    const page = await sim.run(reader.list({ volume: VOLUME, ...asked, ...(after !== undefined && { after }) }));
    const { objects, prefixes } = page;
    assert.ok(objects.length + prefixes.length <= asked.limit);
    const names = [...objects.map(({ key }) => key), ...prefixes];
    for (const name of names) assert.ok(after === undefined || compareKeys(name, after) > 0, `${name} after ${after}`);
    const items: Listed[] = [
      ...objects.map(({ key, doorEtag, sizeBytes }) => ({ name: key, doorEtag, sizeBytes })),
      ...prefixes.map((name) => ({ name })),
    ];
    found.push(...items.sort((a, b) => compareKeys(a.name, b.name)));
    after = page.next;
  } while (after !== undefined);
  return found;
}

type State = 'origin' | 'dirty' | 'overwritten' | 'deleted' | 'unsent delete' | 'stub' | 'drained delete' | 'intent';
const STATES: readonly State[] = [
  ...(['origin', 'dirty', 'overwritten', 'deleted', 'unsent delete'] as const),
  ...(['stub', 'drained delete', 'intent'] as const),
];

const AT_ORIGIN: readonly State[] = ['origin', 'overwritten', 'deleted', 'stub'];
const THERE: readonly State[] = ['origin', 'dirty', 'overwritten', 'stub'];

/** Makes the keys' states so; what a listing without prefix has to say. */
async function arrange(sim: SimNodes, node: SimReadNode, states: ReadonlyMap<string, State>): Promise<Listed[]> {
  const model: Listed[] = [];
  let n = 0;
  for (const [key, state] of states) {
    n += 1;
    const etag = AT_ORIGIN.includes(state) ? await sim.put(key, ramp(n)) : '';
    const records: Partial<Record<State, ObjectRecord>> = {
      dirty: { current: dirty(n) },
      overwritten: { current: dirty(n) },
      deleted: { current: tombstone() },
      'unsent delete': { current: tombstone() },
      stub: { current: stub(n, etag) },
      'drained delete': { current: tombstone({ drained: true }) },
      intent: { intents: [{ checkpoint: 'c', attempt: 'a', to: dirty(n) }] },
    };
    const record = records[state];
    if (record !== undefined) await sim.run(node.records.commit({ volume: VOLUME, key, expected: 0, record }));
    if (!THERE.includes(state)) continue;
    const isWritten = state !== 'origin';
    const content = isWritten ? contentOf(n) : originContentId({ volume: VOLUME, key, etag });
    const sizeBytes = AT_ORIGIN.includes(state) && state !== 'overwritten' ? n : 1000 + n;
    model.push({ name: key, doorEtag: `"${content}-1"`, sizeBytes });
  }
  return model.sort((a, b) => compareKeys(a.name, b.name));
}

/** What the model says of a listing. */
function expected(model: readonly Listed[], { prefix, delimiter }: Asked): Listed[] {
  const found = new Map<string, Listed>();
  for (const item of model) {
    if (!item.name.startsWith(prefix)) continue;
    const at = delimiter === undefined ? -1 : item.name.indexOf(delimiter, prefix.length);
    const name = at < 0 ? item.name : item.name.slice(0, at + 1);
    found.set(name, at < 0 ? item : { name });
  }
  return Array.from(found.values());
}

const segment = fc.constantFrom('a', 'b', 'é', '\u{FFFD}', '\u{10000}', '');
const keys = fc
  .array(segment, { minLength: 1, maxLength: 4 })
  .map((segments) => segments.join('/'))
  .filter((key) => key !== '');

test('S-2, S-5: any mixture of clean, dirty, deleted and drained objects is listed as it is, in order, page by page', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.tuple(keys, fc.constantFrom(...STATES)), { selector: ([key]) => key, maxLength: 25 }),
      async (pairs) => {
        const sim = new SimNodes();
        const node = await sim.start('a');
        const model = await arrange(sim, node, new Map(pairs));
        for (const limit of [1, 2, 3, 1000])
          for (const asked of [
            { prefix: '', limit },
            { prefix: '', delimiter: '/', limit },
            { prefix: 'a/', delimiter: '/', limit },
            { prefix: 'a', limit },
          ])
            assert.deepEqual(await listed(sim, node, asked), expected(model, asked), JSON.stringify(asked));
      },
    ),
    { numRuns: 25 },
  );
});

test('S-12: more records than a listing reads at once are listed in windows, and directories of deleted objects vanish', async () => {
  const sim = new SimNodes();
  const node = await sim.start('a');
  const count = recordsPerWindowMax + 300;
  const states = new Map<string, State>();
  for (let n = 0; n < count; n += 1) {
    const name = String(n).padStart(5, '0');
    states.set(`gone/${name}`, 'unsent delete');
    states.set(`here/${name}`, n % 2 === 0 ? 'dirty' : 'deleted');
  }
  states.set('gone2/x', 'deleted');
  states.set('left/x', 'deleted');
  states.set('left/y', 'origin');
  states.set('z', 'dirty');
  const model = await arrange(sim, node, states);
  for (const asked of [
    { prefix: '', limit: 1000 },
    { prefix: '', delimiter: '/', limit: 1000 },
    { prefix: '', delimiter: '/', limit: 1 },
    { prefix: 'here/', delimiter: '/', limit: 300 },
  ])
    assert.deepEqual(await listed(sim, node, asked), expected(model, asked), JSON.stringify(asked));
});

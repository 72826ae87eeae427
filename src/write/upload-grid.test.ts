import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { assemble, placeOf } from './upload-grid.ts';

const MiB = 1 << 20;
const free = { partBytes: 8 * MiB, isBusy: () => false };

test('parts of the size of the first lie one after the other, others and those whose place is taken apart', () => {
  assert.equal(placeOf({ number: 1, sizeBytes: 8 * MiB }, free), 0);
  assert.equal(placeOf({ number: 3, sizeBytes: 8 * MiB }, free), 16 * MiB);
  assert.equal(placeOf({ number: 3, sizeBytes: 5 }, free), 16 * MiB, 'a short one may be the last');
  assert.equal(placeOf({ number: 1, sizeBytes: 8 * MiB + 1 }, free), undefined);
  assert.equal(placeOf({ number: 1, sizeBytes: 0 }, free), undefined);
  assert.equal(placeOf({ number: 2, sizeBytes: 8 * MiB }, { ...free, isBusy: () => true }), undefined);
});

test('a completion moves nothing where parts lie as it names them, and never writes over what replicas may have', () => {
  const whole = [
    { number: 1, sizeBytes: 8, at: 0 },
    { number: 2, sizeBytes: 3, at: 8 },
  ];
  const taken = [{ start: 0, end: 11 }];
  assert.deepEqual(assemble(whole, taken), { kind: 'inPlace', sizeBytes: 11, copies: [] });
  const apart = { number: 3, sizeBytes: 4, at: undefined };
  assert.deepEqual(assemble([...whole, apart], taken), {
    kind: 'inPlace',
    sizeBytes: 15,
    copies: [{ part: apart, to: 11 }],
  });
  const again = { number: 2, sizeBytes: 3, at: undefined };
  assert.equal(assemble([whole[0]!, again], taken).kind, 'anew', 'part 2 was given away before it was sent again');
  assert.equal(assemble([whole[1]!], taken).kind, 'anew', 'part 1 is left out');
});

test('whatever came in whatever order: what is put together is the named parts, one after the other', () => {
  const part = fc.record({ number: fc.integer({ min: 1, max: 6 }), sizeBytes: fc.integer({ min: 1, max: 6 }) });
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 12 }), fc.integer({ min: 1, max: 6 }), (sent, partBytes) => {
      const content = new Map<number, string>();
      const taken: { start: number; end: number }[] = [];
      const latest = new Map<number, { number: number; sizeBytes: number; at: number | undefined; name: string }>();
      for (const [index, one] of sent.entries()) {
        const isBusy = (range: { start: number; end: number }) =>
          taken.some(({ start, end }) => start < range.end && range.start < end);
        const at = placeOf(one, { partBytes, isBusy });
        const name = `${index}`;
        if (at !== undefined) {
          taken.push({ start: at, end: at + one.sizeBytes });
          for (let byte = 0; byte < one.sizeBytes; byte++) content.set(at + byte, `${name}/${byte}`);
        }
        latest.set(one.number, { ...one, at, name });
      }
      const named = [...latest.values()].sort((a, b) => a.number - b.number);
      const plan = assemble(named, taken);
      const made = plan.kind === 'inPlace' ? content : new Map<number, string>();
      for (const { part: moved, to } of plan.copies)
        for (let byte = 0; byte < moved.sizeBytes; byte++) {
          const isGiven =
            plan.kind === 'inPlace' && taken.some(({ start, end }) => start <= to + byte && to + byte < end);
          assert.ok(!isGiven, 'nothing that replicas may have is written again');
          made.set(to + byte, `${moved.name}/${byte}`);
        }
      const wanted = named.flatMap(({ name, sizeBytes }) =>
        Array.from({ length: sizeBytes }, (_, byte) => `${name}/${byte}`),
      );
      assert.deepEqual(
        Array.from({ length: plan.sizeBytes }, (_, byte) => made.get(byte)),
        wanted,
      );
    }),
  );
});

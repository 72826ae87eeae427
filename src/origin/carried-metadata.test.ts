import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AZURE_CARRIER, carry, S3_CARRIER, uncarry } from './carried-metadata.ts';

const name = fc.stringMatching(/^[a-z0-9_-]{1,20}$/).filter((text) => text !== '__proto__');
const metadata = fc.dictionary(name, fc.string({ unit: 'binary', maxLength: 40 }), { noNullPrototype: true });

for (const [store, carrier] of Object.entries({ S3: S3_CARRIER, Azure: AZURE_CARRIER }))
  test(`any metadata survives ${store}, as names and values that its headers can carry`, () => {
    fc.assert(
      fc.property(metadata, fc.option(fc.string(), { nil: undefined }), (given, expires) => {
        const headers = expires === undefined ? {} : { expires };
        const sent = carry({ headers, metadata: given }, carrier);
        for (const [key, value] of Object.entries(sent)) {
          assert.match(key, carrier.name);
          assert.match(value, /^[!-~]([ -~]*[!-~])?$/);
        }
        // stores give names back in a spelling of their own
        const stored = Object.fromEntries(Object.entries(sent).map(([key, value]) => [key.toUpperCase(), value]));
        const back = uncarry(stored);
        assert.deepEqual(back.metadata, given);
        if (!carrier.expires) assert.deepEqual(back.headers, headers);
      }),
    );
  });

test('what others wrote under our name is left as it is', () => {
  for (const forebaymeta of ['not base64 json', 'W10', 'bnVsbA', 'eyJhIjoxfQ'])
    assert.deepEqual(uncarry({ forebaymeta, a: 'b' }), { metadata: { forebaymeta, a: 'b' }, headers: {} });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERRORS, type ErrorCode, ForebayError, isForebayError } from './errors.ts';

test('every error has a status that fits its S3 code, and a sentence that says what to do', () => {
  for (const [code, row] of Object.entries(ERRORS)) {
    assert.ok(row.status >= 300 && row.status < 600, code);
    assert.match(row.hint, /^[A-Z].*\.$/, code);
    assert.match(row.errno, /^E[A-Z0-9]+$/, code);
    if (row.s3 === 'SlowDown' || row.s3 === 'ServiceUnavailable') assert.ok(row.retry && row.status === 503, code);
    if (row.status === 403) assert.equal(row.retry, false, `${code}: no SDK should repeat what is refused`);
  }
});

test('errors are told apart by code', () => {
  const error: unknown = new ForebayError('diskFull', 'no room', { retryAfterMs: 5 });
  assert.ok(isForebayError(error));
  assert.ok(isForebayError(error, 'noSuchKey', 'diskFull'));
  assert.ok(!isForebayError(error, 'noSuchKey'));
  assert.ok(!isForebayError(new Error('diskFull'), 'diskFull' satisfies ErrorCode));
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContentId } from '../core/ids.ts';
import { type ObjectVersion, OWN_ID } from '../core/object.ts';
import type { Base } from '../write/object-record.ts';
import { blindCondition, judgeDelete, judgePut, resolvedBase } from './origin-verdict.ts';

const id = (digit: string) => digit.repeat(32) as ContentId;
const NEW = id('1');
const OLD = id('2');

function found(etag: string, own?: ContentId): ObjectVersion {
  const metadata: Record<string, string> = own === undefined ? {} : { [OWN_ID]: own };
  return { key: 'k', sizeBytes: 1, etag, modifiedMs: 0, headers: {}, metadata };
}

const base = (origin: Base['origin'], rest: Partial<Base> = {}): Base => ({ origin, own: [], ...rest });

test('S-8: what the origin has is judged by what the version was written over', () => {
  const E = { etag: '"e"' };
  const cases: readonly (readonly [Base, ObjectVersion | undefined, string])[] = [
    [base('absent'), undefined, 'ifNoneMatch *'],
    [base('absent'), found('"x"'), 'conflict'],
    [base('absent'), found('"x"', NEW), 'there "x"'],
    [base('absent'), found('"x"', OLD), 'conflict'],
    [base('absent', { own: [OLD] }), found('"x"', OLD), 'ifMatch "x"'],
    [base('absent', { own: [OLD] }), undefined, 'ifNoneMatch *'],
    [base(E), found('"e"'), 'ifMatch "e"'],
    [base(E), found('"x"'), 'conflict'],
    [base(E), undefined, 'conflict'],
    [base(E, { ownDelete: true }), undefined, 'ifNoneMatch *'],
    [base(E, { own: [OLD] }), undefined, 'conflict'],
    [base('unknown'), undefined, 'ifNoneMatch *'],
    [base('unknown'), found('"x"'), 'ifMatch "x"'],
  ];
  for (const [written, now, expected] of cases) {
    const verdict = judgePut({ content: NEW, base: written }, now);
    const said =
      verdict.kind === 'go'
        ? Object.entries(verdict.condition).flat().join(' ')
        : verdict.kind === 'there'
          ? `there ${verdict.etag}`
          : verdict.kind;
    assert.equal(said, expected, JSON.stringify([written, now]));
  }
});

test('S-8: a delete takes only what it was meant for', () => {
  const E = { etag: '"e"' };
  assert.equal(judgeDelete({ base: base(E) }, undefined).kind, 'there');
  assert.deepEqual(judgeDelete({ base: base(E) }, found('"e"')), { kind: 'go', ifMatch: '"e"' });
  assert.equal(judgeDelete({ base: base(E) }, found('"x"')).kind, 'conflict');
  assert.deepEqual(judgeDelete({ base: base('absent', { own: [OLD] }) }, found('"x"', OLD)), {
    kind: 'go',
    ifMatch: '"x"',
  });
});

test('one puts without looking only over a base that is known to be the only one', () => {
  assert.deepEqual(blindCondition({ base: base('absent') }), { ifNoneMatch: '*' });
  assert.deepEqual(blindCondition({ base: base({ etag: '"e"' }) }), { ifMatch: '"e"' });
  assert.equal(blindCondition({ base: base('unknown') }), undefined);
  assert.equal(blindCondition({ base: base('absent', { own: [OLD] }) }), undefined);
  assert.equal(blindCondition({ base: base({ etag: '"e"' }, { ownDelete: true }) }), undefined);
});

test('the first look at an origin that was away becomes the base', () => {
  assert.deepEqual(resolvedBase(base('unknown', { own: [OLD] }), undefined), { origin: 'absent', own: [OLD] });
  assert.deepEqual(resolvedBase(base('unknown'), found('"x"')), { origin: { etag: '"x"' }, own: [] });
  assert.deepEqual(resolvedBase(base('absent'), found('"x"')), base('absent'));
});

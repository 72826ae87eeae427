import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expectMembers, fixture, MiB, VOLUME } from './fixture.ts';
import { eventually } from './node.ts';
import { contentOf } from './owners.ts';
import { stranger } from './stranger.ts';

const object = (key: string, seed: number) => ({ key, sizeBytes: 9 * MiB + seed, seed });
const KNOWN = object('known', 1);

test('S-15, S-16: a node paused for longer than its lease: the others read on; when it goes on it answers nothing as an owner until it is a member again', async (t) => {
  const cold = Array.from({ length: 12 }, (_, i) => object(`cold/${i}`, i + 2));
  const fix = await fixture(t, { generated: [KNOWN, ...cold] });
  const [a, b, paused] = await fix.startAll(['a', 'b', 'paused']);
  await Promise.all([a!, b!, paused!].map((node) => node.expectWhole(VOLUME, KNOWN)));
  const secret = await stranger(t, { secret: fix.secret });
  paused!.signal('SIGSTOP');
  let longestMs = 0;
  const left = cold.slice();
  const read = async () => {
    const from = performance.now();
    const next = left.shift();
    if (next) await Promise.all([a!.expectWhole(VOLUME, next), b!.expectWhole(VOLUME, next)]);
    await a!.expectWhole(VOLUME, KNOWN);
    longestMs = Math.max(longestMs, performance.now() - from);
  };
  // Asked while it is paused, answered when it goes on: by then its lease is over.
  const ref = `${contentOf(VOLUME, KNOWN)}/0`;
  const asked = secret.call(paused!, { type: 'directory.locate', refs: [ref] }, 120_000);
  asked.catch(() => undefined);
  await eventually('the others go on without it', async () => {
    await read();
    return (await a!.members()).join() === 'a,b' && (await b!.members()).join() === 'a,b';
  });
  while (left.length > 0) await read();
  t.diagnostic(`the longest read of two nodes took ${Math.round(longestMs)} ms while one was paused`);
  assert.ok(longestMs < 30_000, 'no read waits for the paused node');
  paused!.signal('SIGCONT');
  assert.deepEqual(await asked, [{ kind: 'notOwner' }], 'it gives nobody leave');
  await expectMembers([a!, b!, paused!], ['a', 'b', 'paused']);
  await eventually('it may act again', async () => (await paused!.status()).membership?.mayAct === true);
  for (const each of [KNOWN, ...cold.slice(0, 4)]) await paused!.expectWhole(VOLUME, each);
  assert.match(paused!.log, /"kind":"session.lost"/);
  assert.match(paused!.log, /"kind":"session.begun"/);
});

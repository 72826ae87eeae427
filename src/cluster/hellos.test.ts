import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Life, SimClock, SimMachineClock } from '../../sim/sim-clock.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { Trace } from '../../sim/trace.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import { helloAfterMs, helloAgainMs, helloEveryMs, helloMemoryMs, helloMs } from '../core/limits.ts';
import { Hellos } from './hellos.ts';

/** Members that answer a hello at once, or not before the deadline. */
function bench() {
  const clock = new SimClock(new SimRandom(1), new Trace());
  const machine = new SimMachineClock(clock, new SimRandom(2)).attach(new Life('asker'));
  const dumb = new Set<string>();
  const sessions = new Map([['owner', 'first']]);
  const asked: number[] = [];
  const hellos = new Hellos({
    clock: machine,
    hello: async (node) => {
      asked.push(clock.nowMs);
      if (!dumb.has(node)) return;
      await clock.sleep(helloMs);
      throw new ForebayError('peerTimeout', 'no answer');
    },
    sessionOf: (node) => sessions.get(node),
  });
  const settle = <T>(work: Promise<T>): Promise<T> => clock.settle(work, clock.nowMs + 60_000);
  const pass = (ms: number) => settle(clock.sleep(ms));
  return { clock, hellos, dumb, sessions, asked, settle, pass };
}

test('a node that says hello is waited for as long as its answer takes, and asked for a hello now and then', async () => {
  const { clock, hellos, asked, settle } = bench();
  const answer = hellos.unlessSilent('owner', (signal) => clock.sleep(5000, { signal }).then(() => 'late'));
  assert.equal(await settle(answer), 'late');
  assert.equal(asked.length, 1 + Math.floor((5000 - helloAfterMs) / helloAgainMs));
  assert.equal(hellos.isSilent('owner'), false);
});

test('a node that does not even say hello is given up within helloAfterMs and helloMs, and its question called off', async () => {
  const { clock, hellos, dumb, settle } = bench();
  dumb.add('owner');
  let question: AbortSignal | undefined;
  const answer = hellos.unlessSilent('owner', (signal) => {
    question = signal;
    return clock.sleep(15_000, { signal });
  });
  await assert.rejects(settle(answer), (error: unknown) => isForebayError(error, 'peerTimeout'));
  assert.ok(clock.nowMs < helloAfterMs + helloMs + 1, `${clock.nowMs} ms`);
  assert.equal(question?.aborted, true);
  assert.equal(hellos.isSilent('owner'), true);
});

test('many questions to one node share a hello', async () => {
  const { clock, hellos, dumb, asked, settle } = bench();
  dumb.add('owner');
  const answers = Array.from({ length: 50 }, () =>
    hellos.unlessSilent('owner', (signal) => clock.sleep(15_000, { signal })),
  );
  for (const outcome of await settle(Promise.allSettled(answers))) assert.equal(outcome.status, 'rejected');
  assert.equal(asked.length, 1);
});

test('who is silent counts as silent until it says hello, which it is asked to while somebody cares', async () => {
  const { hellos, dumb, asked, settle, pass } = bench();
  dumb.add('owner');
  assert.equal(await settle(hellos.isThere('owner')), false);
  await pass(2 * helloEveryMs);
  assert.equal(asked.length, 1, 'nobody had a question');
  dumb.delete('owner');
  assert.equal(hellos.isSilent('owner'), true);
  await pass(1);
  assert.equal(hellos.isSilent('owner'), false);
  assert.equal(asked.length, 2);
});

test('a silence that nobody asked about for long is forgotten: the next question tries', async () => {
  const { hellos, dumb, asked, settle, pass } = bench();
  dumb.add('owner');
  assert.equal(await settle(hellos.isThere('owner')), false);
  await pass(helloMemoryMs + 1);
  assert.equal(hellos.isSilent('owner'), false);
  assert.equal(asked.length, 1);
});

test('another life of a silent node, and one that answered something else, are not silent', async () => {
  const { hellos, dumb, sessions, settle } = bench();
  dumb.add('owner');
  assert.equal(await settle(hellos.isThere('owner')), false);
  hellos.answered('owner');
  assert.equal(hellos.isSilent('owner'), false);
  assert.equal(await settle(hellos.isThere('owner')), false);
  sessions.set('owner', 'second');
  assert.equal(hellos.isSilent('owner'), false);
});

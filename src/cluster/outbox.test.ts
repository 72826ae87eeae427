import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Outbox } from './outbox.ts';

test('what is told while a message is under way travels together with the next, in order', async () => {
  const sent: unknown[][] = [];
  const answers: PromiseWithResolvers<void>[] = [];
  const outbox = new Outbox({
    batchMax: 3,
    send(node, type, items) {
      sent.push([node, type, ...items]);
      const answer = Promise.withResolvers<void>();
      answers.push(answer);
      return answer.promise;
    },
    onLost: () => assert.fail('nothing is lost'),
  });
  outbox.post('a', 't', 1);
  outbox.post('a', 't', 2);
  await new Promise(setImmediate);
  for (const item of [3, 4, 5, 6]) outbox.post('a', 't', item);
  outbox.post('b', 't', 7);
  await new Promise(setImmediate);
  assert.deepEqual(sent, [
    ['a', 't', 1, 2],
    ['b', 't', 7],
  ]);
  answers[0]?.resolve();
  await new Promise(setImmediate);
  answers[2]?.resolve();
  await new Promise(setImmediate);
  assert.deepEqual(sent.slice(2), [
    ['a', 't', 3, 4, 5],
    ['a', 't', 6],
  ]);
});

test('what cannot be delivered is given back once, and what follows is sent', async () => {
  const lost: unknown[] = [];
  let isDown = true;
  const sent: unknown[] = [];
  const outbox = new Outbox({
    batchMax: 10,
    async send(_node, _type, items) {
      if (isDown) throw new Error('down');
      sent.push(...items);
    },
    onLost: (_node, _type, items) => lost.push(...items),
  });
  outbox.post('a', 't', 1);
  await new Promise(setImmediate);
  isDown = false;
  outbox.post('a', 't', 2);
  await new Promise(setImmediate);
  assert.deepEqual({ lost, sent }, { lost: [1], sent: [2] });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventBacklogMax } from '../core/limits.ts';
import { EventFeed, type FedEvents } from './event-feed.ts';

const NEVER = (signal: AbortSignal) =>
  new Promise<void>((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
  );

async function next(batches: AsyncIterator<FedEvents>): Promise<FedEvents> {
  const result = await batches.next();
  assert.ok(!result.done);
  return result.value;
}

test('a listener gets what happens after it came, in order, and only the kinds it asked for', async () => {
  const feed = new EventFeed();
  feed.emit({ kind: 'origin.back', volume: 'before' });
  const stop = new AbortController();
  const batches = feed
    .listen({ kinds: new Set(['origin.back']), signal: stop.signal, pause: NEVER })
    ?.[Symbol.asyncIterator]();
  assert.ok(batches);
  const first = next(batches);
  feed.emit({ kind: 'disk.readmitted', path: '/' });
  feed.emit({ kind: 'origin.back', volume: 'one' });
  feed.emit({ kind: 'origin.back', volume: 'two' });
  assert.deepEqual(
    (await first).events.map((event) => 'volume' in event && event.volume),
    ['one', 'two'],
  );
  stop.abort();
  assert.equal((await batches.next()).done, true);
});

test('a listener that is behind loses events, is told how many, and holds only so many', async () => {
  const feed = new EventFeed();
  const stop = new AbortController();
  const batches = feed.listen({ signal: stop.signal, pause: NEVER })?.[Symbol.asyncIterator]();
  assert.ok(batches);
  for (let index = 0; index < eventBacklogMax + 7; index++) feed.emit({ kind: 'origin.back', volume: `v${index}` });
  const { events, lost } = await next(batches);
  assert.deepEqual([events.length, lost], [eventBacklogMax, 7]);
  feed.emit({ kind: 'origin.back', volume: 'later' });
  assert.deepEqual(await next(batches), { events: [{ kind: 'origin.back', volume: 'later' }], lost: 0 });
  stop.abort();
  await batches.next();
});

test('a pause that ends gives an empty batch, so that a quiet stream still says something', async () => {
  const feed = new EventFeed();
  const stop = new AbortController();
  const batches = feed.listen({ signal: stop.signal, pause: async () => undefined })?.[Symbol.asyncIterator]();
  assert.ok(batches);
  assert.deepEqual(await next(batches), { events: [], lost: 0 });
  stop.abort();
  await batches.next();
});

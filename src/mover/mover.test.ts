import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimRandom } from '../../sim/sim-random.ts';
import { originContentId } from '../core/ids.ts';
import { peerUploadsMax, pullsMax } from '../core/limits.ts';
import type { Clock } from '../io/io.ts';
import type { BlockRun, PeerTransport, Pull } from '../io/peers.ts';
import type { Event } from '../observe/events.ts';
import { Budget } from './budget.ts';
import { Mover } from './mover.ts';

const content = originContentId({ volume: 'v', key: 'k', etag: '"1"' });
const from = { node: 'other', address: { host: '127.0.0.1', port: 1 } };
const clock = { boottimeMs: () => 0, sleep: () => Promise.resolve() } as unknown as Clock;

function moverOver(pull: (pull: Pull) => Promise<void>) {
  const events: Event[] = [];
  const transport = { pull } as unknown as PeerTransport;
  const budget = new Budget(clock, Number.POSITIVE_INFINITY);
  return {
    events,
    mover: new Mover({ transport: () => transport, clock, emit: (event) => events.push(event), budget }),
  };
}

const want = (signal: AbortSignal) => ({
  from,
  content,
  sizeBytes: 1 << 20,
  first: 0,
  count: 1,
  into: undefined,
  signal,
  onBlock: () => undefined,
});

test('S-12: pulls beyond the bound wait in order, and one that is given up leaves the line', async () => {
  const held: (() => void)[] = [];
  const { mover, events } = moverOver(() => new Promise((resolve) => held.push(resolve)));
  const never = new AbortController().signal;
  const running = Array.from({ length: pullsMax }, () => mover.pull(want(never)));
  const given = new AbortController();
  const waiting = mover.pull(want(given.signal));
  const last = mover.pull(want(never));
  await new Promise(setImmediate);
  assert.equal(held.length, pullsMax);
  given.abort(new Error('given up'));
  await assert.rejects(waiting, /given up/);
  held.shift()?.();
  await new Promise(setImmediate);
  assert.equal(held.length, pullsMax);
  for (const release of held.splice(0)) release();
  await Promise.all([...running, last]);
  assert.equal(mover.pullsInFlight, 0);
  assert.equal(events.filter(({ kind }) => kind === 'pull.done').length, pullsMax + 1);
});

test('S-12: uploads beyond the bound are refused at once, for others have the bytes too', async () => {
  const { mover } = moverOver(() => Promise.resolve());
  const random = new SimRandom(1);
  async function* endless(): AsyncGenerator<BlockRun> {
    for (;;) {
      const bytes = random.bytes(8);
      yield { first: 0, checksums: [0], source: { kind: 'bytes', bytes }, release: () => undefined };
    }
  }
  const uploads = Array.from({ length: peerUploadsMax }, () => mover.upload(endless()));
  for (const upload of uploads) await upload.next();
  await assert.rejects(mover.upload(endless()).next(), /uploads are under way/);
  await uploads[0]?.return(undefined);
  const next = mover.upload(endless());
  assert.equal((await next.next()).done, false);
  for (const upload of [...uploads, next]) await upload.return(undefined);
  assert.equal(mover.uploadsInFlight, 0);
});

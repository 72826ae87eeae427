import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimRandom } from '../../sim/sim-random.ts';
import { BLOCK_SIZE_BYTES } from '../core/chunk.ts';
import type { DealerOrder, MemberAction, MemberReport } from './broadcast.ts';
import { BroadcastMember, type BroadcastMemberOptions } from './broadcast-member.ts';
import type { ChunkRange } from './chunk-set.ts';

const CHUNK = 1000;

const rangesText = (ranges: readonly ChunkRange[]) =>
  ranges.length === 0
    ? 'nothing'
    : ranges.map(([start, end]) => (end === start + 1 ? `${start}` : `${start}–${end - 1}`)).join(' ');

function reportText(report: MemberReport): string {
  switch (report.kind) {
    case 'join':
      return `join with ${rangesText(report.have)}${report.bytesPerS === undefined ? '' : ` at ${report.bytesPerS}`}`;
    case 'speed':
      return `speed ${report.atLeast ? 'at least ' : ''}${report.bytesPerS}`;
    case 'filled':
      return `filled ${report.chunk}`;
    case 'copied':
      return `copied ${report.chunk} by ${report.by}`;
    case 'fillFailed':
      return `fill of ${report.chunk} failed: ${report.reason}`;
    case 'badSource':
      return `bad source ${report.source}: ${report.reason}`;
    case 'starved':
      return `starved without ${rangesText(report.lacks)}`;
    default:
      return report.kind;
  }
}

function text(action: MemberAction): string {
  switch (action.kind) {
    case 'request':
      return `ask ${action.source} for ${action.chunk}`;
    case 'cancel':
      return `cancel ${action.chunk} at ${action.source}`;
    case 'fill':
    case 'stopFill':
      return `${action.kind} ${action.chunk}`;
    case 'announce':
      return `tell ${action.to}${action.all ? ' all' : ''}: ${rangesText(action.have)}`;
    case 'tell':
      return reportText(action.report);
  }
}

/** Plays a member and writes down what it does. */
class Transcript {
  readonly member: BroadcastMember;
  readonly lines: string[] = [];
  nowMs = 0;
  #version = 0;

  constructor(options: Partial<BroadcastMemberOptions> = {}) {
    this.member = new BroadcastMember({ chunks: 8, chunkBytes: CHUNK, random: new SimRandom(7), ...options });
    this.lines.push('');
    this.note('joins', this.member.join(0));
  }

  note(what: string, actions: readonly MemberAction[]): this {
    this.lines.push(what, ...actions.map((action) => `  ${text(action)}`));
    return this;
  }

  order(order: DealerOrder): this {
    return this.note(
      `order ${order.kind}${'chunk' in order ? ` ${order.chunk}` : ''}`,
      this.member.order(this.nowMs, order),
    );
  }

  links(from: string, to: string): this {
    this.#version += 1;
    const names = (list: string) => (list === '' ? [] : list.split(' '));
    const order = { kind: 'links', version: this.#version, sources: names(from), readers: names(to) } as const;
    return this.note(`links from ${from || '–'} to ${to || '–'}`, this.member.order(this.nowMs, order));
  }

  hears(source: string, have: readonly ChunkRange[], all = false): this {
    return this.note(`${source} has ${rangesText(have)}`, this.member.announced(this.nowMs, source, have, all));
  }

  gets(chunk: number, from?: string): this {
    return this.note(
      `${chunk} arrives${from === undefined ? '' : ` from ${from}`}`,
      this.member.arrived(this.nowMs, chunk, from),
    );
  }

  after(ms: number): this {
    this.nowMs += ms;
    return this.note(`after ${ms} ms`, this.member.tick(this.nowMs));
  }

  is(expected: string): void {
    const wanted = expected.split('\n').map((line) => line.replace(/^ {4}/, ''));
    assert.deepEqual(this.lines.slice(1), wanted.slice(1, -1));
  }
}

test('a member keeps one chunk on its way and one queued at each source, and asks nobody for what it awaits elsewhere', () => {
  const t = new Transcript({ chunks: 5 });
  t.links('a b', '')
    .hears('a', [[0, 5]], true)
    .hears('b', [[0, 5]], true);
  t.note('4 is at a', []).is(`
    joins
      join with nothing
    links from a b to –
    a has 0–4
      ask a for 1
      ask a for 0
    b has 0–4
      ask b for 3
      ask b for 2
    4 is at a
    `);
});

test('it takes what fewest of its other sources have', () => {
  const t = new Transcript({ chunks: 6 });
  t.links('a b c', '')
    .hears('b', [[0, 1]], true)
    .hears('c', [[0, 1]], true);
  t.hears('a', [[0, 6]], true);
  t.is(`
    joins
      join with nothing
    links from a b c to –
    b has 0
      ask b for 0
    c has 0
    a has 0–5
      ask a for 5
      ask a for 3
    `);
});

test('what streaming readers wait for comes first', () => {
  const t = new Transcript({ chunks: 100 });
  t.note('readers want 40 and 41', t.member.window(0, [40, 41]));
  t.links('a b', '').hears('a', [[0, 100]], true);
  t.note('readers want 50', t.member.window(0, [50])).gets(40, 'a');
  t.is(`
    joins
      join with nothing
    readers want 40 and 41
    links from a b to –
    a has 0–99
      ask a for 40
      ask a for 41
    readers want 50
    40 arrives from a
      ask a for 50
    `);
});

test('it tells readers what is here: at once who has nothing on its way, others when a chunk has left, nobody what they have', () => {
  const t = new Transcript({ have: [[0, 1]] });
  t.links('a', 'r a');
  t.hears('a', [[1, 3]], true);
  t.member.asked('r', 0);
  t.lines.push('r asks for 0');
  t.gets(1, 'a').gets(2, 'a').gets(5);
  t.note('0 has left to r', t.member.served('r', 0, true));
  t.is(`
    joins
      join with 0
    links from a to r a
      tell r all: 0
      tell a all: 0
    a has 1–2
      ask a for 1
      ask a for 2
    r asks for 0
    1 arrives from a
    2 arrives from a
    5 arrives
      tell a: 5
    0 has left to r
      tell r: 1–2 5
    `);
});

test('a fill is told of when it begins, and the dealer when it ends and when it was first copied', () => {
  const t = new Transcript();
  t.links('', 'r').order({ kind: 'fill', chunk: 3 });
  t.member.asked('r', 3);
  t.lines.push('r asks for 3');
  t.gets(3, 'origin')
    .note('3 has left to r', t.member.served('r', 3, true))
    .order({ kind: 'fill', chunk: 3 });
  t.order({ kind: 'fill', chunk: 4 }).order({ kind: 'stopFill', chunk: 4 }).order({ kind: 'fill', chunk: 4 });
  t.note('fill fails', t.member.fillFailed(0, 4, 'origin'));
  t.is(`
    joins
      join with nothing
    links from – to r
    order fill 3
      fill 3
      tell r: 3
    r asks for 3
    3 arrives from origin
      filled 3
    3 has left to r
      copied 3 by r
    order fill 3
      filled 3
    order fill 4
      fill 4
      tell r: 4
    order stopFill 4
      stopFill 4
    order fill 4
      fill 4
      tell r: 4
    fill fails
      fill of 4 failed: origin
    `);
});

test('a new reader is told everything, what is being filled too', () => {
  const t = new Transcript({ have: [[0, 2]] });
  t.order({ kind: 'fill', chunk: 5 }).links('', 'r').links('', 'r s');
  t.is(`
    joins
      join with 0–1
    order fill 5
      fill 5
    links from – to r
      tell r all: 0–1 5
    links from – to r s
      tell s all: 0–1 5
    `);
});

test('a source that fails is left, the dealer told, and what was asked of it is asked elsewhere', () => {
  const t = new Transcript({ chunks: 3 });
  t.links('a b', '')
    .hears('a', [[0, 2]], true)
    .hears('b', [[0, 3]], true);
  t.note('a sends wrong bytes', t.member.failed(0, 'a', 1, 'corrupt'));
  t.note('b has not got 2', t.member.failed(0, 'b', 2, 'notHeld'));
  t.is(`
    joins
      join with nothing
    links from a b to –
    a has 0–1
      ask a for 0
      ask a for 1
    b has 0–2
      ask b for 2
    a sends wrong bytes
      cancel 0 at a
      bad source a: corrupt
      ask b for 0
    b has not got 2
      ask b for 1
    `);
});

test('a chunk that waits its turn moves to a source that has nothing else to do', () => {
  const t = new Transcript({ chunks: 2 });
  t.links('a b', '')
    .hears('a', [[0, 2]], true)
    .hears('b', [[0, 2]], true);
  t.is(`
    joins
      join with nothing
    links from a b to –
    a has 0–1
      ask a for 0
      ask a for 1
    b has 0–1
      cancel 1 at a
      ask b for 1
    `);
});

test('links that are taken away end what is on its way, and no more', () => {
  const t = new Transcript({ chunks: 4 });
  t.links('a b', '')
    .hears('a', [[0, 4]], true)
    .links('b', '')
    .hears('b', [[0, 4]], true);
  t.gets(1, 'a').note(
    'a link of an older deal',
    t.member.order(0, { kind: 'links', version: 1, sources: ['a'], readers: [] }),
  );
  t.is(`
    joins
      join with nothing
    links from a b to –
    a has 0–3
      ask a for 1
      ask a for 2
    links from b to –
      cancel 2 at a
    b has 0–3
      ask b for 3
      ask b for 2
    1 arrives from a
    a link of an older deal
    `);
});

test('a chunk that comes by another way is no longer awaited', () => {
  const t = new Transcript({ chunks: 2 });
  t.links('a', '')
    .hears('a', [[0, 2]], true)
    .gets(0)
    .gets(0)
    .gets(1);
  assert.equal(t.member.finished, true);
  t.note('0 is evicted', t.member.dropped(0, 0));
  t.is(`
    joins
      join with nothing
    links from a to –
    a has 0–1
      ask a for 0
      ask a for 1
    0 arrives
      cancel 0 at a
    0 arrives
    1 arrives
      cancel 1 at a
      finished
    0 is evicted
      ask a for 0
    `);
});

test('its speed is told when it is known and when it has changed', () => {
  const WINDOW = 8 * BLOCK_SIZE_BYTES;
  const t = new Transcript({ chunks: 99 });
  t.links('a b', '')
    .hears('a', [[0, 99]], true)
    .hears('b', [[0, 99]], true);
  const receives = (ms: number, bytes: number) => {
    t.nowMs += ms;
    t.note(`${bytes} bytes in ${ms} ms`, t.member.received(t.nowMs, bytes));
  };
  receives(100, WINDOW);
  receives(100, WINDOW);
  receives(100, WINDOW);
  for (let i = 0; i < 4; i++) receives(1000, WINDOW);
  t.is(`
    joins
      join with nothing
    links from a b to –
    a has 0–98
      ask a for 38
      ask a for 44
    b has 0–98
      ask b for 76
      ask b for 60
    8388608 bytes in 100 ms
      speed at least 83886080
    8388608 bytes in 100 ms
    8388608 bytes in 100 ms
      speed 83886080
    8388608 bytes in 1000 ms
    8388608 bytes in 1000 ms
    8388608 bytes in 1000 ms
    8388608 bytes in 1000 ms
      speed 8388608
    `);
});

test('a speed that was given is told at once', () => {
  new Transcript({ bytesPerS: 1e9 }).is(`
    joins
      join with nothing at 1000000000
    `);
});

test('with nothing on its way for a while it tells the dealer what it lacks', () => {
  const t = new Transcript({ chunks: 4, have: [[2, 3]] });
  assert.equal(t.member.nextMs(), 2000);
  t.after(1999)
    .after(1)
    .links('a', '')
    .hears('a', [[0, 1]], true);
  assert.equal(t.member.nextMs(), undefined);
  t.gets(0, 'a').after(2000);
  t.is(`
    joins
      join with 2
    after 1999 ms
    after 1 ms
      starved without 0–1 3
    links from a to –
    a has 0
      ask a for 0
    0 arrives from a
    after 2000 ms
      starved without 1 3
    `);
});

test('dismissed or leaving, it gives everything up', () => {
  const t = new Transcript();
  t.links('a', 'r')
    .hears('a', [[0, 8]], true)
    .order({ kind: 'fill', chunk: 6 })
    .order({ kind: 'dismissed' });
  t.note('leaves', t.member.leave())
    .hears('a', [[0, 8]])
    .gets(3, 'a');
  assert.equal(t.member.dismissed, true);
  const u = new Transcript().note(
    'leaves',
    new BroadcastMember({ chunks: 1, chunkBytes: 1, random: new SimRandom(1) }).leave(),
  );
  assert.equal(u.lines.at(-1), '  leave');
  t.is(`
    joins
      join with nothing
    links from a to r
    a has 0–7
      ask a for 3
      ask a for 5
    order fill 6
      fill 6
      tell r: 6
    order dismissed
      cancel 5 at a
      cancel 3 at a
      stopFill 6
    leaves
    a has 0–7
    3 arrives from a
    `);
});

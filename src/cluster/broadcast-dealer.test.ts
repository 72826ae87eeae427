import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimRandom } from '../../sim/sim-random.ts';
import type { DealerAction, DealerOrder, MemberReport } from './broadcast.ts';
import { BroadcastDealer, type BroadcastDealerOptions } from './broadcast-dealer.ts';

const CHUNK = 1000;

function text(order: DealerOrder): string {
  switch (order.kind) {
    case 'links':
      return `v${order.version} from ${order.sources.toSorted().join(' ') || '–'} to ${order.readers.toSorted().join(' ') || '–'}`;
    case 'fill':
    case 'stopFill':
      return `${order.kind} ${order.chunk}`;
    case 'dismissed':
      return 'dismissed';
  }
}

/** Plays a dealer and writes down what it says. */
class Transcript {
  readonly dealer: BroadcastDealer;
  readonly lines: string[] = [];
  readonly fills = new Map<string, number>();
  nowMs = 0;

  constructor(options: Partial<BroadcastDealerOptions> = {}) {
    this.dealer = new BroadcastDealer({ chunks: 3, chunkBytes: CHUNK, random: new SimRandom(1), ...options });
  }

  note(what: string, actions: readonly DealerAction[]): this {
    for (const { to, order } of actions) {
      if (order.kind === 'fill') this.fills.set(to, order.chunk);
      if (order.kind === 'stopFill') this.fills.delete(to);
    }
    this.lines.push(what, ...actions.map(({ to, order }) => `  → ${to}: ${text(order)}`));
    return this;
  }

  report(node: string, report: MemberReport, what: string = report.kind): this {
    return this.note(`${node} ${what}`, this.dealer.report(this.nowMs, node, report));
  }

  joins(...nodes: string[]): this {
    for (const node of nodes) this.report(node, { kind: 'join', have: [] }, 'joins');
    return this;
  }

  /** The node ends the fill that it was told. */
  fills_(node: string): this {
    const chunk = this.fills.get(node) as number;
    this.fills.delete(node);
    return this.report(node, { kind: 'filled', chunk }, `filled ${chunk}`);
  }

  lost(node: string): this {
    return this.note(`${node} is lost`, this.dealer.lost(this.nowMs, node));
  }

  after(ms: number): this {
    this.nowMs += ms;
    return this.note(`after ${ms} ms`, this.dealer.tick(this.nowMs));
  }

  is(expected: string): void {
    const wanted = expected.split('\n').map((line) => line.replace(/^ {4}/, ''));
    assert.deepEqual(this.lines.slice(1), wanted.slice(1, -1));
  }
}

/** Ends with what was said last. */
const skip = (t: Transcript): Transcript => {
  t.lines.length = 1;
  return t;
};

test('nodes fill at once, are dealt links together, and are dismissed when all have everything', () => {
  const t = new Transcript();
  t.lines.push('');
  t.joins('a', 'b', 'c').after(5);
  t.fills_('a').fills_('b').fills_('c');
  t.report('a', { kind: 'finished' }).report('b', { kind: 'finished' }).report('c', { kind: 'finished' });
  t.is(`
    a joins
      → a: fill 0
    b joins
      → b: fill 1
    c joins
      → c: fill 2
    after 5 ms
      → a: v1 from b c to b c
      → b: v1 from a c to a c
      → c: v1 from a b to a b
    a filled 0
    b filled 1
    c filled 2
    a finished
    b finished
    c finished
      → a: dismissed
      → b: dismissed
      → c: dismissed
    `);
  assert.equal(t.dealer.ended, true);
  assert.equal(t.dealer.nextMs(), undefined);
});

test('fills go out in index order, one per node, and as many at once as keep the origin busy', () => {
  const t = new Transcript({ chunks: 40 });
  t.joins(...Array.from({ length: 20 }, (_, i) => `n${i}`)).after(5);
  const ascending = () => [...t.fills.values()].toSorted((a, b) => a - b);
  assert.deepEqual(ascending(), [0, 1, 2, 3, 4, 5, 6, 7, 8], 'the first nine are a mesh, which takes more');
  const nodeOf = (chunk: number) => [...t.fills].find(([, given]) => given === chunk)?.[0] as string;
  t.fills_(nodeOf(4)).fills_(nodeOf(0)).fills_(nodeOf(9));
  assert.deepEqual(ascending(), [1, 2, 3, 5, 6, 7, 8], 'those that begin together would end together');
  t.report('n19', { kind: 'copied', chunk: 0, by: 'n18' }).after(1);
  assert.deepEqual(ascending(), [1, 2, 3, 5, 6, 7, 8, 10], '(4 + 1) · 1 + 3');

  const fast = new Transcript({ chunks: 40, originLinks: 3 });
  fast.joins(...Array.from({ length: 30 }, (_, i) => `n${i}`)).after(5);
  assert.equal(fast.fills.size, 18, '(4 + 1) · 3 + 3');
});

test('what a dead node was filling, and what only it had, is filled by others', () => {
  const t = new Transcript({ chunks: 4 });
  t.lines.push('');
  t.joins('a', 'b', 'c').after(5);
  skip(t);
  t.fills_('a').fills_('b');
  t.report('b', { kind: 'copied', chunk: 1, by: 'c' }, 'says that c copied 1');
  t.lost('b').lost('a').fills_('c').fills_('c').fills_('c').after(5);
  t.is(`
    a filled 0
      → a: fill 3
    b filled 1
    b says that c copied 1
    b is lost
    a is lost
    c filled 2
      → c: fill 0
    c filled 0
      → c: fill 3
    c filled 3
    after 5 ms
      → c: v2 from – to –
    `);
});

test('a node that turns out slow becomes a leaf: its fill goes to another, and nobody reads from it', () => {
  const t = new Transcript({ chunks: 8 });
  t.lines.push('');
  t.joins('a', 'b', 'c', 'd').after(5);
  skip(t);
  t.after(10).fills_('a').fills_('b');
  const speed = (node: string, bytesPerS: number, atLeast = false) =>
    t.report(node, { kind: 'speed', bytesPerS, atLeast }, `runs at ${atLeast ? 'least ' : ''}${bytesPerS}`);
  speed('a', 100, true);
  speed('b', 10, true);
  speed('c', 90);
  t.after(20);
  speed('d', 10);
  t.after(20).after(5);
  t.is(`
    after 10 ms
    a filled 0
      → a: fill 4
    b filled 1
      → b: fill 5
    a runs at least 100
    b runs at least 10
    c runs at 90
    after 20 ms
    d runs at 10
    after 20 ms
    after 5 ms
      → d: v2 from a to –
      → a: v2 from b c to b c d
      → b: v2 from a c to a c
      → c: v2 from a b to a b
    `);
  assert.equal(t.dealer.status().leaves, 1);
  skip(t).after(1_500_000).after(5);
  assert.equal(t.dealer.status().leaves, 0, 'after 128 chunk times it gets another chance');
});

test('nobody becomes a leaf for coming to an end at the speed of its link, after the origin had been slower', () => {
  const t = new Transcript({ chunks: 40 });
  const nodes = ['a', 'b', 'c', 'd'];
  t.joins(...nodes).after(5);
  const runs = (node: string) => t.report(node, { kind: 'speed', bytesPerS: 1000, atLeast: false });
  for (let filled = 0; filled < 40; filled++) {
    for (const node of nodes) runs(node);
    t.after(2000).fills_([...t.fills].toSorted(([, a], [, b]) => a - b)[0]?.[0] as string);
  }
  // One node is measured when everything is filled; the others have been as fast all along.
  runs('a').after(20);
  assert.equal(t.dealer.status().filled, 40);
  assert.equal(t.dealer.status().leaves, 0);
});

test('a source that does not answer is replaced, and taken for dead when a second reader says so', () => {
  const t = new Transcript();
  t.lines.push('');
  t.joins('a', 'b', 'c').after(5);
  skip(t);
  t.report('a', { kind: 'badSource', source: 'c', reason: 'timeout' }, 'gets nothing from c').after(5);
  t.report('b', { kind: 'badSource', source: 'c', reason: 'unreachable' }, 'cannot reach c').after(5);
  t.report('c', { kind: 'finished' });
  t.is(`
    a gets nothing from c
    after 5 ms
      → c: v2 from a b to b
      → a: v2 from b to b c
    b cannot reach c
    after 5 ms
      → b: v3 from a to a
      → a: v3 from b to b
    c finished
      → c: dismissed
    `);
});

test('a source that sent wrong bytes to two serves nobody any more, and reads on', () => {
  const t = new Transcript();
  t.lines.push('');
  t.joins('a', 'b', 'c').after(5);
  skip(t);
  t.report('a', { kind: 'badSource', source: 'c', reason: 'corrupt' }, 'got wrong bytes from c');
  t.report('b', { kind: 'badSource', source: 'c', reason: 'corrupt' }, 'got wrong bytes from c').after(5);
  t.is(`
    a got wrong bytes from c
    b got wrong bytes from c
    after 5 ms
      → c: v2 from a b to –
      → a: v2 from b to b c
      → b: v2 from a to a c
    `);
});

test('fills that fail are tried again after a pause that grows, and a new version at the origin ends the broadcast', () => {
  const t = new Transcript({ chunks: 1 });
  t.lines.push('');
  t.joins('a', 'b');
  const fail = () => {
    const [node] = [...t.fills.keys()] as [string];
    t.fills.delete(node);
    t.report(node, { kind: 'fillFailed', chunk: 0, reason: 'origin' }, 'failed to fill 0');
  };
  fail();
  t.after(99).after(1);
  fail();
  t.after(199).after(1);
  const [node] = [...t.fills.keys()] as [string];
  t.report(node, { kind: 'fillFailed', chunk: 0, reason: 'changed' }, 'found another version');
  t.joins('late');
  t.is(`
    a joins
      → a: fill 0
    b joins
    a failed to fill 0
    after 99 ms
      → a: v1 from b to b
      → b: v1 from a to a
    after 1 ms
      → b: fill 0
    b failed to fill 0
    after 199 ms
    after 1 ms
      → b: fill 0
    b found another version
      → a: dismissed
      → b: dismissed
    late joins
      → late: dismissed
    `);
  assert.equal(t.dealer.ended, true);
});

test('a broadcast is given up when the origin fails again and again', () => {
  const t = new Transcript({ chunks: 1 });
  t.joins('a', 'b');
  for (let i = 0; i < 17; i++) {
    const [node] = [...t.fills.keys()] as [string];
    t.fills.delete(node);
    t.report(node, { kind: 'fillFailed', chunk: 0, reason: 'origin' }).after(10_000);
  }
  assert.equal(t.dealer.ended, true);
  assert.match(t.lines.join('\n'), /→ a: dismissed/);
});

test('a fill that hangs goes to another node', () => {
  const t = new Transcript({ chunks: 2 });
  t.lines.push('');
  t.joins('a', 'b').after(5);
  skip(t);
  t.after(1000).fills_('a');
  assert.equal(t.dealer.nextMs(), 8041, 'eight times as long as the other one took');
  t.after(8036);
  t.is(`
    after 1000 ms
    a filled 0
    after 8036 ms
      → b: stopFill 1
      → a: fill 1
    `);
});

test('a starving node gets other links, and what nobody seems to have is filled again', () => {
  const t = new Transcript({ chunks: 2 });
  t.lines.push('');
  t.joins('a', 'b', 'c').after(5);
  t.fills_('a').fills_('b');
  skip(t);
  t.report('c', { kind: 'starved', lacks: [[0, 1]] }, 'starves without 0')
    .after(5)
    .after(1000);
  t.report('c', { kind: 'starved', lacks: [[0, 2]] }, 'starves without 0 and 1');
  t.is(`
    c starves without 0
    after 5 ms
      → a: v2 from b c to b c
      → b: v2 from a c to a c
      → c: v2 from a b to a b
    after 1000 ms
    c starves without 0 and 1
      → c: fill 0
    `);
});

test('what a late node brings along is not filled, and one that has everything serves', () => {
  const t = new Transcript({ chunks: 4 });
  t.lines.push('');
  t.report('seed', { kind: 'join', have: [[1, 4]] }, 'joins with 1 to 3');
  t.report('a', { kind: 'join', have: [[0, 1]] }, 'joins with 0').after(5);
  t.report('whole', { kind: 'join', have: [[0, 4]] }, 'joins with everything').after(5);
  t.is(`
    seed joins with 1 to 3
      → seed: fill 0
    a joins with 0
      → seed: stopFill 0
    after 5 ms
      → seed: v1 from a to a
      → a: v1 from seed to seed
    whole joins with everything
    after 5 ms
      → seed: v2 from a whole to a
      → a: v2 from seed whole to seed
      → whole: v2 from – to a seed
    `);
  assert.deepEqual(t.dealer.status(), { members: 3, finished: 1, leaves: 0, filled: 4, chunks: 4 });
  assert.deepEqual(t.dealer.nodes(), ['seed', 'a', 'whole']);
});

test('everybody leaves: nothing is left to do', () => {
  const t = new Transcript();
  t.lines.push('');
  t.joins('a', 'b').report('a', { kind: 'leave' }).report('b', { kind: 'leave' }).report('b', { kind: 'leave' });
  t.report('stranger', { kind: 'finished' });
  t.is(`
    a joins
      → a: fill 0
    b joins
      → b: fill 1
    a leave
    b leave
    b leave
    stranger finished
      → stranger: dismissed
    `);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContentId } from '../core/ids.ts';
import { directoryWaitMs, fillLeaseMs, pullLeaseMs, takeoverMs, uploadSlotsMax } from '../core/limits.ts';
import { type Asker, Directory, type FailureReason, type Grant, type Located } from './directory.ts';
import { SLOTS, type Slot } from './slot.ts';

const content = '81918a5b3c4d7e8f9a0b1c2d3e4f5a6b' as ContentId;
const chunk = (index: number) => ({ content, chunk: index });
const asker = (node: string, zone = 'rack-1'): Asker => ({ node, zone });

const text = (answer: Located) =>
  answer.kind === 'pull'
    ? `pull from ${answer.from}`
    : answer.kind === 'fill'
      ? `fill${answer.refill === undefined ? '' : ` (${answer.refill})`}`
      : `wait ${answer.ms}`;

/** Plays a directory and writes down what it says. */
class Transcript {
  readonly directory: Directory;
  readonly lines: string[] = [];
  nowMs = 1000;

  constructor(nodes: readonly Asker[], options = {}) {
    this.directory = new Directory(options);
    this.note('members', this.directory.members(this.nowMs, nodes));
  }

  note(what: string, grants: readonly Grant[]): this {
    this.lines.push(what, ...grants.map(({ node, ref, answer }) => `  → ${node} ${ref.chunk}: ${text(answer)}`));
    return this;
  }

  asks(node: string, index = 0, zone = 'rack-1'): this {
    const [answer] = this.directory.locate(this.nowMs, asker(node, zone), [chunk(index)]);
    this.lines.push(`${node} asks for ${index}: ${text(answer as Located)}`);
    return this;
  }

  done(node: string, index = 0): this {
    const grants = this.directory.report(this.nowMs, node, [{ ref: chunk(index), kind: 'done' }]);
    return this.note(`${node} has ${index}`, grants);
  }

  fails(node: string, reason: FailureReason, index = 0): this {
    const grants = this.directory.report(this.nowMs, node, [{ ref: chunk(index), kind: 'failed', reason }]);
    return this.note(`${node} fails: ${reason}`, grants);
  }

  after(ms: number): this {
    this.nowMs += ms;
    return this.note(`after ${ms} ms`, this.directory.tick(this.nowMs));
  }

  is(expected: string): void {
    const wanted = expected.split('\n').map((line) => line.replace(/^ {4}/, ''));
    assert.deepEqual(this.lines.slice(1), wanted.slice(1, -1));
  }
}

const nodes = (names: string, zone = 'rack-1') => names.split(' ').map((node) => asker(node, zone));

test('the first asker fills, the others pull along a chain as its blocks come', () => {
  const t = new Transcript(nodes('a b c d'));
  t.asks('a').asks('b').asks('c').asks('d').done('a').done('b').done('c').done('d').asks('b', 1);
  t.is(`
    a asks for 0: fill
    b asks for 0: pull from a
    c asks for 0: pull from b
    d asks for 0: pull from c
    a has 0
    b has 0
    c has 0
    d has 0
    b asks for 1: fill
    `);
});

test('a chain that is long enough branches', () => {
  const t = new Transcript(nodes('a b c d e f g h i j k'));
  for (const node of 'abcdefghijk') t.asks(node);
  t.is(`
    a asks for 0: fill
    b asks for 0: pull from a
    c asks for 0: pull from b
    d asks for 0: pull from c
    e asks for 0: pull from d
    f asks for 0: pull from e
    g asks for 0: pull from f
    h asks for 0: pull from g
    i asks for 0: pull from h
    j asks for 0: pull from a
    k asks for 0: pull from j
    `);
});

test('who finds no free slot waits, and is granted one when a pull ends', () => {
  const t = new Transcript(nodes('a b c d e f g'));
  t.asks('a').done('a');
  for (const index of [1, 2, 3, 4]) t.note(`a has ${index}`, t.directory.held(t.nowMs, 'a', [chunk(index)]));
  t.asks('b', 1).asks('c', 2).asks('d', 3).asks('e', 4);
  t.asks('f').asks('g').done('b', 1).done('f').done('g');
  t.is(`
    a asks for 0: fill
    a has 0
    a has 1
    a has 2
    a has 3
    a has 4
    b asks for 1: pull from a
    c asks for 2: pull from a
    d asks for 3: pull from a
    e asks for 4: pull from a
    f asks for 0: wait 2000
    g asks for 0: wait 2000
    b has 1
      → f 0: pull from a
      → g 0: pull from f
    f has 0
    g has 0
    `);
});

test('sources of the own zone come first', () => {
  const t = new Transcript([...nodes('a b', 'rack-1'), ...nodes('x y', 'rack-2')]);
  t.asks('a').done('a').asks('x', 0, 'rack-2').asks('y', 0, 'rack-2').done('x').done('y').asks('b');
  t.is(`
    a asks for 0: fill
    a has 0
    x asks for 0: pull from a
    y asks for 0: pull from x
    x has 0
    y has 0
    b asks for 0: pull from a
    `);
});

test('a fill that fails goes to the next who waits, and the reason is told', () => {
  const t = new Transcript(nodes('a b c'));
  t.asks('a').asks('b').fails('b', 'notHeld').asks('b').fails('a', 'origin').after(1);
  t.asks('b').asks('a').done('b').done('a');
  t.is(`
    a asks for 0: fill
    b asks for 0: pull from a
    b fails: notHeld
    b asks for 0: wait 2000
    a fails: origin
      → b 0: fill (fillFailed)
    after 1 ms
    b asks for 0: fill (fillFailed)
    a asks for 0: pull from b
    b has 0
    a has 0
    `);
});

test('an asker is never sent to somebody who pulls from it', () => {
  const t = new Transcript(nodes('a b c d'));
  t.asks('a')
    .asks('b')
    .asks('c')
    .asks('d')
    .note('a leaves', t.directory.members(t.nowMs, nodes('b c d')));
  t.fails('b', 'unreachable').asks('b').fails('c', 'notHeld').asks('c');
  t.is(`
    a asks for 0: fill
    b asks for 0: pull from a
    c asks for 0: pull from b
    d asks for 0: pull from c
    a leaves
    b fails: unreachable
    b asks for 0: fill (fillerLeft)
    c fails: notHeld
    c asks for 0: wait 2000
    `);
});

test('wrong bytes mark a holder: nobody is sent to it, for any chunk, for a while', () => {
  const t = new Transcript(nodes('a b c'));
  t.asks('a').done('a').asks('a', 1).done('a', 1);
  t.asks('b').fails('b', 'corrupt').asks('b').done('b');
  t.asks('c', 1)
    .done('c', 1)
    .after(61_000)
    .note('a has 2', t.directory.held(t.nowMs, 'a', [chunk(2)]))
    .asks('b', 2);
  t.is(`
    a asks for 0: fill
    a has 0
    a asks for 1: fill
    a has 1
    b asks for 0: pull from a
    b fails: corrupt
    b asks for 0: fill (holdersFailed)
    b has 0
    c asks for 1: fill (holdersFailed)
    c has 1
    after 61000 ms
    a has 2
    b asks for 2: pull from a
    `);
});

test('who blames everybody is believed for itself only', () => {
  const t = new Transcript(nodes('bad a b c d e'));
  for (const [index, node] of ['a', 'b', 'c', 'd', 'e'].entries()) {
    t.note(`${node} has ${index}`, t.directory.held(t.nowMs, node, [chunk(index)]));
    t.asks('bad', index).fails('bad', 'corrupt', index);
  }
  t.asks('a', 3).asks('a', 4).asks('bad', 4);
  t.is(`
    a has 0
    bad asks for 0: pull from a
    bad fails: corrupt
    b has 1
    bad asks for 1: pull from b
    bad fails: corrupt
    c has 2
    bad asks for 2: pull from c
    bad fails: corrupt
    d has 3
    bad asks for 3: pull from d
    bad fails: corrupt
    e has 4
    bad asks for 4: pull from e
    bad fails: corrupt
    a asks for 3: pull from d
    a asks for 4: pull from e
    bad asks for 4: fill (holdersFailed)
    `);
});

test('a holder that evicted the chunk is forgotten, one that is overloaded is spared for a moment', () => {
  const t = new Transcript(nodes('a b c'));
  t.asks('a')
    .done('a')
    .asks('b')
    .fails('b', 'overloaded')
    .asks('b')
    .after(50)
    .after(50)
    .fails('b', 'notHeld')
    .asks('b');
  t.is(`
    a asks for 0: fill
    a has 0
    b asks for 0: pull from a
    b fails: overloaded
    b asks for 0: wait 2000
    after 50 ms
    after 50 ms
      → b 0: pull from a
    b fails: notHeld
    b asks for 0: fill (dropped)
    `);
});

test('a chunk that was evicted everywhere is filled without being counted', () => {
  const t = new Transcript(nodes('a b'));
  t.asks('a')
    .done('a')
    .note('a dropped 0', t.directory.dropped(t.nowMs, 'a', [chunk(0)]))
    .asks('b')
    .done('b')
    .asks('b');
  t.is(`
    a asks for 0: fill
    a has 0
    a dropped 0
    b asks for 0: fill
    b has 0
    b asks for 0: fill
    `);
});

test('leases that time out free the slot of the source and the place of the filler', () => {
  const t = new Transcript(nodes('a b c'));
  t.asks('a').asks('b').asks('c');
  assert.equal(t.directory.nextMs(), t.nowMs + pullLeaseMs);
  t.after(pullLeaseMs)
    .after(fillLeaseMs - pullLeaseMs)
    .asks('c')
    .asks('b');
  t.is(`
    a asks for 0: fill
    b asks for 0: pull from a
    c asks for 0: pull from b
    after 15000 ms
    after 45000 ms
    c asks for 0: fill (fillTimedOut)
    b asks for 0: pull from c
    `);
});

test('a lease that is heard of goes on', () => {
  const t = new Transcript(nodes('a b'));
  t.asks('a').after(fillLeaseMs - 1);
  t.note('a goes on', t.directory.report(t.nowMs, 'a', [{ ref: chunk(0), kind: 'going' }]))
    .after(10)
    .asks('b');
  t.is(`
    a asks for 0: fill
    after 59999 ms
    a goes on
    after 10 ms
    b asks for 0: pull from a
    `);
});

test('a member that leaves is forgotten as filler, source and waiter', () => {
  const t = new Transcript(nodes('a b c d'));
  t.asks('a').asks('b').fails('b', 'cancelled').asks('c').fails('c', 'unreachable').asks('c');
  t.note('a leaves', t.directory.members(t.nowMs, nodes('b c d'))).done('c');
  t.note('c leaves', t.directory.members(t.nowMs, nodes('b d'))).asks('d');
  t.is(`
    a asks for 0: fill
    b asks for 0: pull from a
    b fails: cancelled
    c asks for 0: pull from a
    c fails: unreachable
    c asks for 0: fill (fillTimedOut)
    a leaves
    c has 0
    c leaves
    d asks for 0: fill (holdersLeft)
    `);
});

test('after a takeover askers wait until all members have told what they hold', () => {
  const t = new Transcript(nodes('a b c'));
  const slots = Array.from({ length: SLOTS }, (_, slot) => slot as Slot);
  t.directory.takeOver(t.nowMs, 7, slots, ['a', 'b', 'c']);
  t.asks('a', 0).asks('a', 1);
  t.note('b holds 1', t.directory.held(t.nowMs, 'b', [chunk(1)], { epoch: 7 }));
  t.note('a holds nothing', t.directory.held(t.nowMs, 'a', [], { epoch: 7 }));
  t.note('c told of an older epoch', t.directory.held(t.nowMs, 'c', [], { epoch: 6 }));
  t.note('c leaves', t.directory.members(t.nowMs, nodes('a b')));
  t.is(`
    a asks for 0: wait 2000
    a asks for 1: wait 2000
    b holds 1
      → a 1: pull from b
    a holds nothing
    c told of an older epoch
    c leaves
      → a 0: fill
    `);
});

test('a takeover ends in any case when its time is over', () => {
  const t = new Transcript(nodes('a b'));
  t.directory.takeOver(t.nowMs, 7, [...Array(SLOTS).keys()] as Slot[], ['a', 'b']);
  t.asks('a');
  assert.equal(t.directory.nextMs(), t.nowMs + takeoverMs);
  t.after(takeoverMs);
  t.is(`
    a asks for 0: wait 2000
    after 5000 ms
    `);
});

test('slots that are handed over are forgotten', () => {
  const t = new Transcript(nodes('a b c'));
  t.asks('a').done('a').asks('b').asks('c', 1);
  t.directory.handOver([...Array(SLOTS).keys()] as Slot[]);
  assert.deepEqual(t.directory.holders(chunk(0)), []);
  assert.equal(t.directory.nextMs(), undefined);
  t.done('b').asks('c');
  t.is(`
    a asks for 0: fill
    a has 0
    b asks for 0: pull from a
    c asks for 1: fill
    b has 0
    c asks for 0: pull from b
    `);
});

test('1,000 nodes that ask for 64 chunks at once are answered within a second, and nobody is left waiting in the end', () => {
  const cluster = new Directory();
  const names = Array.from({ length: 1000 }, (_, i) => `n${i}`);
  const refs = Array.from({ length: 64 }, (_, index) => chunk(index));
  const from = performance.now();
  let [pulls, fills, waits] = [0, 0, 0];
  for (const name of names)
    for (const { kind } of cluster.locate(0, asker(name), refs)) {
      if (kind === 'pull') pulls += 1;
      else if (kind === 'fill') fills += 1;
      else waits += 1;
    }
  const took = performance.now() - from;
  assert.equal(fills, 64);
  assert.ok(pulls <= 1000 * uploadSlotsMax);
  assert.equal(cluster.waiting, waits);
  assert.ok(took < 3000, `${took} ms`);
});

test('memory is bounded: beyond its chunks the directory forgets those asked for longest ago', () => {
  const t = new Transcript(nodes('a b'), { chunksMax: 4 });
  for (let index = 0; index < 8; index++) {
    t.directory.locate(t.nowMs, asker('a'), [chunk(index)]);
    t.done('a', index);
  }
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 6, 7].filter((index) => t.directory.holders(chunk(index)).length > 0),
    [4, 5, 6, 7],
  );
  const busy = new Directory({ chunksMax: 2 });
  busy.locate(0, asker('a'), [chunk(0), chunk(1)]);
  const [answer] = busy.locate(0, asker('b'), [chunk(2)]);
  assert.ok(answer?.kind === 'wait' && answer.ms >= directoryWaitMs / 2, 'what is under way is not forgotten');
});

test('S-11: a fill that was begun by an earlier owner’s leave is waited for, and served from where it comes', () => {
  const played = new Transcript(['a', 'b', 'c'].map((node) => asker(node)));
  const { directory } = played;
  directory.takeOver(played.nowMs, 2, [...Array(SLOTS).keys()] as Slot[], ['a', 'b', 'c']);
  played.asks('b');
  played.note('a fills', directory.filling(played.nowMs, 'a', [chunk(0)]));
  for (const node of ['a', 'b', 'c'])
    played.note(`${node} told all`, directory.held(played.nowMs, node, [], { epoch: 2 }));
  played.done('a').done('b');
  played.asks('c').is(`
    b asks for 0: wait ${directoryWaitMs}
    a fills
      → b 0: pull from a
    a told all
    b told all
    c told all
    a has 0
    b has 0
    c asks for 0: pull from a
    `);
});

test('S-11: who tells of a fill and is not heard of again is not waited for longer than a pull; who is, as long as a fill', () => {
  for (const isHeardOf of [false, true]) {
    const { directory } = new Transcript(['a', 'b'].map((node) => asker(node)));
    directory.filling(1000, 'a', [chunk(0)]);
    if (isHeardOf) directory.report(2000, 'a', [{ ref: chunk(0), kind: 'going' }]);
    directory.tick(1000 + pullLeaseMs);
    assert.equal(directory.holders(chunk(0)).length, isHeardOf ? 1 : 0);
    directory.tick(2000 + fillLeaseMs);
    assert.deepEqual(directory.holders(chunk(0)), []);
  }
});

test('a fill that is told of after its end changes nothing', () => {
  const played = new Transcript(['a', 'b'].map((node) => asker(node)));
  played.done('a');
  played.note('a fills', played.directory.filling(played.nowMs, 'a', [chunk(0)]));
  assert.deepEqual(played.directory.holders(chunk(0)), [{ node: 'a', state: 'whole' }]);
});

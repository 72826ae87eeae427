import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SLOTS, type Slot } from '../cluster/slot.ts';
import type { ContentId } from '../core/ids.ts';
import { kvClaimMs } from '../core/kv-limits.ts';
import { takeoverMs } from '../core/limits.ts';
import { slotOfKey } from './entry.ts';
import { type Drop, KeyDirectory } from './key-directory.ts';

const SUFFIXES = ['metadata', 'kv_bytes'];
/** Contents sort by their number, as ULIDs do by time. */
const content = (number: number) => number.toString(16).padStart(32, '0') as ContentId;
const numberOf = (id: ContentId) => Number.parseInt(id, 16);
const ALL = Array.from({ length: SLOTS }, (_, slot) => slot as Slot);

/** Plays the owner `o` and writes down what it says. */
class Transcript {
  readonly here = new Map<string, ContentId>();
  readonly directory: KeyDirectory;
  readonly lines: string[] = [];
  nowMs = 1000;

  constructor(options: { keysMax?: number } = {}) {
    const here = (key: string) => this.here.get(key);
    this.directory = new KeyDirectory({ self: 'o', suffixes: SUFFIXES, here, ...options });
    this.directory.members(['o', 'a', 'b', 'c']);
  }

  note(what: string, drops: readonly Drop[] = []): this {
    this.lines.push(what, ...drops.map(({ node, key, content: id }) => `  → ${node} drops ${key} ${numberOf(id)}`));
    return this;
  }

  puts(node: string, number: number, key = 'k', ms = Number.POSITIVE_INFINITY): this {
    if (node === 'o') this.here.set(key, content(number));
    const told = { key, content: content(number), untilMs: this.nowMs + ms, fresh: true };
    return this.note(`${node} puts ${key} ${number}`, this.#dropHere(this.directory.held(this.nowMs, node, told)));
  }

  has(node: string, number: number, key = 'k'): this {
    const told = { key, content: content(number), untilMs: Number.POSITIVE_INFINITY, fresh: false };
    return this.note(`${node} has ${key} ${number}`, this.#dropHere(this.directory.held(this.nowMs, node, told)));
  }

  #dropHere(drops: readonly Drop[]): readonly Drop[] {
    for (const { node, key } of drops) if (node === 'o') this.here.delete(key);
    return drops;
  }

  gone(node: string, key = 'k'): this {
    this.directory.gone(node, key);
    return this.note(`${node} has no ${key}`);
  }

  dropped(node: string, number: number, key = 'k'): this {
    this.directory.dropped(node, key, content(number));
    return this.note(`${node} has dropped ${key} ${number}, still to drop: ${this.directory.drops(node).length}`);
  }

  removes(key = 'k'): this {
    return this.note(`a client deletes ${key}`, this.#dropHere(this.directory.remove(this.nowMs, key)));
  }

  where(key = 'k'): this {
    const at = this.directory.locate(this.nowMs, key);
    return this.note(`${key} is ${at === undefined ? 'nowhere' : `at ${at.node} ${numberOf(at.content)}`}`);
  }

  claims(token: string, key = 'k'): this {
    return this.note(`${token} claims ${key}: ${this.directory.claim(this.nowMs, key, token)}`);
  }

  settles(node: string, token: string, number: number, key = 'k'): this {
    const told = { key, content: content(number), untilMs: Number.POSITIVE_INFINITY };
    const settled = this.directory.settle(this.nowMs, node, told, token);
    return this.note(`${token} settles ${key}: ${typeof settled === 'string' ? settled : 'done'}`);
  }

  after(ms: number): this {
    this.nowMs += ms;
    this.directory.tick(this.nowMs);
    return this.note(`after ${ms} ms`);
  }

  members(...nodes: string[]): this {
    this.directory.members(nodes);
    return this.note(`members ${nodes.join(' ')}`);
  }

  is(expected: string): void {
    const wanted = expected.split('\n').map((line) => line.replace(/^ {4}/, ''));
    assert.deepEqual(this.lines, wanted.slice(1, -1));
  }
}

test('of two that put one key the later word wins, and the other drops its version until it says so', () => {
  const t = new Transcript();
  t.puts('a', 1).puts('b', 2).where().has('a', 1).where().dropped('a', 1).puts('a', 3).where().gone('b').where();
  t.is(`
    a puts k 1
    b puts k 2
      → a drops k 1
    k is at b 2
    a has k 1
    k is at b 2
    a has dropped k 1, still to drop: 0
    a puts k 3
      → b drops k 2
    k is at a 3
    b has no k
    k is at a 3
    `);
});

test('of two versions that a new owner is told of the younger stays', () => {
  const t = new Transcript();
  t.has('a', 5).has('b', 4).where().has('c', 6).where();
  t.is(`
    a has k 5
    b has k 4
      → b drops k 4
    k is at a 5
    c has k 6
      → a drops k 5
    k is at c 6
    `);
});

test('what the owner itself has is one of the versions', () => {
  const t = new Transcript();
  t.puts('a', 1).puts('o', 2).where().puts('b', 3).where().removes().where();
  t.is(`
    a puts k 1
    o puts k 2
      → a drops k 1
    k is at o 2
    b puts k 3
      → o drops k 2
    k is at b 3
    a client deletes k
      → b drops k 3
    k is nowhere
    `);
});

test('a deleted version does not come back before its holder has dropped it', () => {
  const t = new Transcript();
  t.puts('a', 1).removes().has('a', 1).where().dropped('a', 1).has('a', 1).where();
  t.is(`
    a puts k 1
    a client deletes k
      → a drops k 1
    a has k 1
    k is nowhere
    a has dropped k 1, still to drop: 0
    a has k 1
    k is at a 1
    `);
});

test('what a node held is gone with it, and what expired by itself', () => {
  const t = new Transcript();
  t.puts('a', 1).puts('b', 2, 'l', 500).where('l').members('o', 'b', 'c').where().after(500).where('l');
  t.is(`
    a puts k 1
    b puts l 2
    l is at b 2
    members o b c
    k is nowhere
    after 500 ms
    l is nowhere
    `);
});

test('one of several that put where nothing is wins', () => {
  const t = new Transcript();
  t.claims('x').claims('y').settles('a', 'x', 1).claims('y').settles('b', 'y', 2).where().gone('a').claims('y');
  t.is(`
    x claims k: granted
    y claims k: exists
    x settles k: done
    y claims k: exists
    y settles k: exists
    k is at a 1
    a has no k
    y claims k: granted
    `);
});

test('a claim that is not used ends by itself, and counts no more', () => {
  const t = new Transcript();
  t.claims('x').after(kvClaimMs).claims('y').settles('a', 'x', 1).settles('b', 'y', 2).where();
  t.is(`
    x claims k: granted
    after ${kvClaimMs} ms
    y claims k: granted
    x settles k: exists
    y settles k: done
    k is at b 2
    `);
});

test('while a slot settles nobody may put where nothing seems to be', () => {
  const t = new Transcript();
  t.directory.takeOver({ epoch: 7, slots: ALL, from: ['a', 'b'], untilMs: t.nowMs + takeoverMs });
  t.claims('x');
  t.directory.reported('a', 7);
  t.has('b', 1).claims('x');
  t.directory.reported('b', 7);
  t.claims('x').claims('x', 'other');
  t.directory.takeOver({ epoch: 8, slots: ALL, from: ['a', 'b'], untilMs: t.nowMs + takeoverMs });
  t.claims('x', 'third').after(takeoverMs).claims('x', 'third');
  t.is(`
    x claims k: settling
    b has k 1
    x claims k: settling
    x claims k: exists
    x claims other: granted
    x claims third: settling
    after ${takeoverMs} ms
    x claims third: granted
    `);
});

test('slots that went to another owner are forgotten', () => {
  const t = new Transcript();
  t.puts('a', 1, 'one').puts('a', 2, 'two');
  t.directory.handOver([slotOfKey('one', SUFFIXES)]);
  t.where('one').where('two');
  t.is(`
    a puts one 1
    a puts two 2
    one is nowhere
    two is at a 2
    `);
});

test('S-12: keys beyond the bound are not remembered, and the rest stays', () => {
  const t = new Transcript({ keysMax: 300 });
  for (let number = 0; number < 400; number++)
    t.directory.held(0, 'a', { key: `k${number}`, content: content(number), untilMs: 1e9, fresh: true });
  assert.equal(t.directory.count, 300);
  for (let number = 0; number < 300; number++)
    assert.equal(t.directory.locate(1, `k${number}`)?.content, content(number), `k${number}`);
  for (let number = 0; number < 300; number += 2) t.directory.gone('a', `k${number}`);
  for (let number = 1; number < 300; number += 2)
    assert.equal(t.directory.locate(1, `k${number}`)?.content, content(number), `k${number} after others went`);
  assert.equal(t.directory.count, 150);
});

test('parts of one entry have one owner, and each knows where the others are', () => {
  const t = new Transcript();
  assert.equal(slotOfKey('e1kv_bytes', SUFFIXES), slotOfKey('e1metadata', SUFFIXES));
  t.puts('a', 1, 'e1metadata').puts('b', 2, 'e1kv_bytes');
  assert.deepEqual(t.directory.siblings(t.nowMs, 'e1kv_bytes', 'b'), [
    { node: 'a', content: content(1), key: 'e1metadata' },
  ]);
  assert.deepEqual(t.directory.siblings(t.nowMs, 'e1kv_bytes', 'a'), []);
});

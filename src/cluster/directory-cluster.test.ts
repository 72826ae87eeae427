/** What holds of a directory whatever its askers do: drawn clusters that pull, fill, fail and restart. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ContentId } from '../core/ids.ts';
import { uploadSlotsMax } from '../core/limits.ts';
import { type Asker, Directory, type FailureReason, type Grant, type Located } from './directory.ts';

const content = '81918a5b3c4d7e8f9a0b1c2d3e4f5a6b' as ContentId;
const chunk = (index: number) => ({ content, chunk: index });
const asker = (node: string, zone = 'rack-1'): Asker => ({ node, zone });

/** Nodes that pull and fill as they are told, with faults where asked for; checks what must hold after every step. */
class Cluster {
  readonly directory = new Directory();
  readonly names: string[];
  readonly chunks: number;
  nowMs = 0;
  messages = 0;
  fills = 0;
  readonly #random: (bound: number) => number;
  /** node → chunk → where from; '' is the origin. */
  readonly #busy = new Map<string, Map<number, string>>();
  readonly #waits = new Map<string, Map<number, number>>();
  readonly #has = new Map<string, Set<number>>();

  constructor({ nodes: count, chunks, random }: { nodes: number; chunks: number; random: (bound: number) => number }) {
    this.names = Array.from({ length: count }, (_, i) => `n${i}`);
    this.chunks = chunks;
    this.#random = random;
    for (const name of this.names) this.#start(name);
    this.#members();
  }

  askAll(): void {
    for (const name of this.names) this.ask(name, [...Array(this.chunks).keys()]);
  }

  ask(name: string, chunks: readonly number[]): void {
    const has = this.#has.get(name) as Set<number>;
    const wanted = chunks.filter((index) => !has.has(index) && !this.#busy.get(name)?.has(index));
    if (wanted.length === 0) return;
    this.messages += 2;
    const zone = `z${Number(name.slice(1)) % 3}`;
    const answers = this.directory.locate(this.nowMs, asker(name, zone), wanted.map(chunk));
    for (const [i, answer] of answers.entries()) this.#take(name, wanted[i] as number, answer);
    this.#check();
  }

  /** Ends something that is under way, or lets time pass. `faults`: one in so many ends badly; 0: none does. */
  step(faults: number): void {
    const under = [...this.#busy].flatMap(([name, chunks]) =>
      [...chunks].map(([index, from]) => ({ name, index, from })),
    );
    // Who pulls from one that is still getting it ends later.
    const ready = under.filter(({ index, from }) => from === '' || !this.#busy.get(from)?.has(index));
    const next = ready[this.#random(Math.max(ready.length, 1))];
    this.nowMs += 1;
    if (next === undefined) {
      this.nowMs += 500;
      this.#grants(this.directory.tick(this.nowMs));
      for (const [name, waits] of this.#waits)
        this.ask(
          name,
          [...waits].filter(([, untilMs]) => untilMs <= this.nowMs).map(([index]) => index),
        );
      return;
    }
    const { name, index, from } = next;
    this.#busy.get(name)?.delete(index);
    this.messages += 1;
    const fault = faults > 0 && this.#random(faults) === 0;
    const absent = from !== '' && !this.#has.get(from)?.has(index);
    const reasons = ['timeout', 'unreachable', 'corrupt', 'overloaded'] as const;
    const reason = absent ? 'notHeld' : from === '' ? 'origin' : (reasons[this.#random(4)] as FailureReason);
    if (!fault && !absent) this.#has.get(name)?.add(index);
    const outcome = fault || absent ? ({ kind: 'failed', reason } as const) : ({ kind: 'done' } as const);
    this.#grants(this.directory.report(this.nowMs, name, [{ ref: chunk(index), ...outcome }]));
    if (outcome.kind === 'failed') this.ask(name, [index]);
    this.#check();
  }

  /** A node dies, and another one of its name comes with nothing. */
  restart(name: string): void {
    this.names.splice(this.names.indexOf(name), 1);
    this.#members();
    this.names.push(name);
    this.#start(name);
    this.#members();
    this.ask(name, [...Array(this.chunks).keys()]);
  }

  get finished(): boolean {
    return this.names.every((name) => this.#has.get(name)?.size === this.chunks);
  }

  #start(name: string): void {
    this.#has.set(name, new Set());
    this.#busy.set(name, new Map());
    this.#waits.set(name, new Map());
  }

  #members(): void {
    this.#grants(
      this.directory.members(
        this.nowMs,
        this.names.map((node) => asker(node, `z${Number(node.slice(1)) % 3}`)),
      ),
    );
  }

  #grants(grants: readonly Grant[]): void {
    for (const { node, ref, answer } of grants) {
      this.messages += 1;
      assert.ok(this.#waits.get(node)?.has(ref.chunk), `${node} did not wait for ${ref.chunk}`);
      assert.notEqual(answer.kind, 'wait');
      this.#take(node, ref.chunk, answer);
    }
  }

  #take(name: string, index: number, answer: Located): void {
    this.#waits.get(name)?.delete(index);
    if (answer.kind === 'wait') this.#waits.get(name)?.set(index, this.nowMs + answer.ms);
    else this.#busy.get(name)?.set(index, answer.kind === 'pull' ? answer.from : '');
    if (answer.kind === 'fill') this.fills += 1;
  }

  #check(): void {
    const uploads = new Map<string, number>();
    for (let index = 0; index < this.chunks; index++) {
      const from = new Map(this.directory.holders(chunk(index)).map(({ node, from }) => [node, from]));
      for (const [node, source] of from) {
        if (source === undefined) continue;
        uploads.set(source, (uploads.get(source) ?? 0) + 1);
        const way = [node];
        for (let at: string | undefined = source; at !== undefined; at = from.get(at)) {
          assert.ok(!way.includes(at), `a cycle: ${way.join(' ← ')} ← ${at}`);
          way.push(at);
        }
      }
    }
    for (const [node, count] of uploads) assert.ok(count <= uploadSlotsMax, `${node} serves ${count}`);
  }
}

const drawn = (seed: number) => {
  let state = seed;
  return (bound: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 0x1_0000_0000) * bound);
  };
};

const scale = { nodes: fc.integer({ min: 1, max: 24 }), chunks: fc.integer({ min: 1, max: 5 }), seed: fc.nat() };

test('S-11: without faults each chunk is filled once and reaches everyone, with at most 4 messages per chunk and node', () => {
  fc.assert(
    fc.property(fc.record(scale), ({ nodes: count, chunks, seed }) => {
      const cluster = new Cluster({ nodes: count, chunks, random: drawn(seed) });
      cluster.askAll();
      for (let steps = 0; !cluster.finished && steps < 10_000; steps++) cluster.step(0);
      assert.ok(cluster.finished);
      assert.equal(cluster.fills, chunks);
      assert.ok(cluster.messages <= count * (3 * chunks) + 2 * count);
      assert.equal(cluster.directory.waiting, 0);
    }),
    { numRuns: 60 },
  );
});

test('with sources that fail and nodes that restart, every chunk still reaches everyone, and no slot or tree is overdrawn', () => {
  fc.assert(
    fc.property(fc.record(scale), ({ nodes: count, chunks, seed }) => {
      const random = drawn(seed);
      const cluster = new Cluster({ nodes: count, chunks, random });
      cluster.askAll();
      for (let steps = 0; steps < 200; steps++) {
        cluster.step(4);
        if (random(40) === 0) cluster.restart(cluster.names[random(count)] as string);
      }
      for (let steps = 0; !cluster.finished && steps < 20_000; steps++) cluster.step(0);
      assert.ok(cluster.finished);
    }),
    { numRuns: 60 },
  );
});

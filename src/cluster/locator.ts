/**
 * Where this node gets a chunk that it lacks: asks the owner of the chunk's slot, waits for its grants, and reports how it
 * ended. Questions to one owner travel together while an earlier one is under way.
 *
 * Promise (S-11): the origin is read only with the owner's leave, or that of its deputy where the owner does not answer
 * (`deputyships.ts`), or, after neither could be reached for `ownerPatienceMs`, without leave, which is said.
 */
import { SETTLED } from '../core/abortable.ts';
import { isForebayError } from '../core/errors.ts';
import { deputyMs, ownerPatienceMs, ownerRetryMs } from '../core/limits.ts';
import type { PeerMessage } from '../io/peers.ts';
import type { RefillReason as CountedRefill } from '../observe/events.ts';
import { type ChunkRef, chunkName } from './chunk-ref.ts';
import {
  answerFromWire,
  fieldsOf,
  itemsOf,
  listOf,
  REFILL_REASONS,
  refFromWire,
  textOf,
  type WireAnswer,
} from './chunk-wire.ts';
import type { Cluster } from './cluster.ts';
import type { FailureReason } from './directory.ts';
import type { Members } from './member.ts';
import type { SlotMove } from './placement.ts';
import { slotOfChunk } from './slot.ts';

export type Source =
  | { readonly kind: 'pull'; readonly from: string }
  /** `refill`: the cluster had read it from the origin before. */
  | { readonly kind: 'fill'; readonly refill: CountedRefill | undefined };

export interface LocatorOptions {
  readonly cluster: Cluster;
  /** The chunks that are here whole. */
  readonly holdings: () => Iterable<ChunkRef>;
}

interface Question {
  readonly ref: ChunkRef;
  readonly answer: PromiseWithResolvers<WireAnswer>;
}

/** One chunk that this node wants. A grant may come before the answer that told it to wait. */
interface Want {
  readonly ref: ChunkRef;
  granted: Source | undefined;
  wake: () => void;
}

export class Locator {
  readonly #cluster: Cluster;
  readonly #holdings: () => Iterable<ChunkRef>;
  readonly #questions = new Map<string, Question[]>();
  readonly #asking = new Set<string>();
  readonly #wants = new Map<string, Want>();
  /** Chunks that are read from the origin here, by whose leave ever. */
  readonly #filling = new Set<string>();
  /** Owners that do not answer → who stands in for them, until when. */
  readonly #deputies = new Map<string, Map<string, number>>();
  #joined = false;

  constructor({ cluster, holdings }: LocatorOptions) {
    this.#cluster = cluster;
    this.#holdings = holdings;
    cluster.handle('directory.grant', (from, message) => this.#granted(from, message));
    cluster.handle('directory.deputy', (from, message) => this.#deputized(from, message));
    cluster.handle('lost:directory.report', (_node, message) => this.#reportAgain(message));
    cluster.handle('lost:directory.held', (node, message) => this.#heldAgain(node, message));
    cluster.onMembers((members, moves) => this.#changed(members, moves));
  }

  /** Where to get a chunk now; report the end of it. One call per chunk at a time. Rejects with the signal's reason only. */
  async locate(ref: ChunkRef, signal: AbortSignal): Promise<Source> {
    const name = chunkName(ref);
    const want: Want = { ref, granted: undefined, wake: () => undefined };
    this.#wants.set(name, want);
    try {
      const source = await this.#locate(ref, want, signal);
      if (source.kind === 'fill') this.#filling.add(name);
      return source;
    } finally {
      if (this.#wants.get(name) === want) this.#wants.delete(name);
    }
  }

  /** A chunk that the owner knows to be on its way is here whole. */
  done(ref: ChunkRef): void {
    this.#filling.delete(chunkName(ref));
    this.#tellOwner(ref, 'directory.report', { ref: chunkName(ref), kind: 'done' });
  }

  /** It goes on: the owner waits longer for its end. */
  going(ref: ChunkRef): void {
    this.#tellOwner(ref, 'directory.report', { ref: chunkName(ref), kind: 'going' });
  }

  failed(ref: ChunkRef, reason: FailureReason, source?: string): void {
    this.#filling.delete(chunkName(ref));
    this.#tellOwner(ref, 'directory.report', {
      ref: chunkName(ref),
      kind: 'failed',
      reason,
      ...(source !== undefined && { source }),
    });
  }

  /** A chunk is here whole that came without the owner's knowledge: by a broadcast. */
  held(ref: ChunkRef): void {
    this.#tellOwner(ref, 'directory.held', { refs: [chunkName(ref)] });
  }

  /** For people: how many of these chunks each node has or is getting, as the owners know. Owners that do not answer are left out. */
  async holders(refs: readonly ChunkRef[]): Promise<ReadonlyMap<string, number>> {
    const byOwner = Map.groupBy(refs, (ref) => this.#cluster.placement.owner(slotOfChunk(ref))?.node);
    const counts = new Map<string, number>();
    for (const [owner, owned] of byOwner) {
      if (owner === undefined) continue;
      try {
        const message = { type: 'directory.holders', refs: owned.map(chunkName) };
        for (const nodes of listOf(await this.#cluster.call(owner, message)))
          for (const node of listOf(nodes).map(textOf)) counts.set(node, (counts.get(node) ?? 0) + 1);
      } catch (error) {
        if (!isForebayError(error)) throw error;
      }
    }
    return counts;
  }

  async #locate(ref: ChunkRef, want: Want, signal: AbortSignal): Promise<Source> {
    const { clock, placement } = this.#cluster;
    let awaySinceMs: number | undefined;
    for (;;) {
      signal.throwIfAborted();
      const owner = placement.owner(slotOfChunk(ref))?.node;
      const answer = owner === undefined ? undefined : await this.#askOwnerOrDeputy(owner, ref);
      signal.throwIfAborted();
      if (answer === undefined || answer.kind === 'notOwner') {
        const nowMs = clock.boottimeMs();
        awaySinceMs ??= nowMs;
        if (nowMs - awaySinceMs >= ownerPatienceMs) return { kind: 'fill', refill: 'owner-away' };
        await clock.sleep(ownerRetryMs, signal);
        continue;
      }
      awaySinceMs = undefined;
      const source =
        this.#sourceOf(ref, answer) ?? (answer.kind === 'wait' ? await this.#wait(want, answer.ms, signal) : undefined);
      if (source !== undefined) return source;
    }
  }

  /** Who follows an owner that does not answer stands in for it, unless it can be reached from there. */
  async #askOwnerOrDeputy(owner: string, ref: ChunkRef): Promise<(WireAnswer & { by: string }) | undefined> {
    const owned = await this.#askUnlessAway(owner, { ref });
    if (owned !== undefined) return { ...owned, by: owner };
    const deputy = this.#cluster.placement.deputy(slotOfChunk(ref))?.node;
    if (deputy === undefined) return undefined;
    const answer = await this.#askUnlessAway(deputy, { ref, insteadOf: owner });
    if (answer === undefined) return undefined;
    if (answer.kind !== 'notOwner') this.#standsIn(deputy, owner);
    return { ...answer, by: deputy };
  }

  #sourceOf(ref: ChunkRef, answer: WireAnswer & { by: string }): Source | undefined {
    if (answer.kind === 'pull') return { kind: 'pull', from: answer.from };
    if (answer.kind !== 'fill') return undefined;
    if (answer.refill !== undefined) return { kind: 'fill', refill: REFILL_REASONS[answer.refill] };
    // What the owner itself holds, and what it knew of those who do not answer either, its deputy cannot know.
    const isOwner = answer.by === this.#cluster.placement.owner(slotOfChunk(ref))?.node;
    return { kind: 'fill', refill: isOwner ? undefined : 'owner-away' };
  }

  /** `undefined` when the node cannot be asked. */
  async #askUnlessAway(node: string, about: { ref: ChunkRef; insteadOf?: string }): Promise<WireAnswer | undefined> {
    if (this.#cluster.hellos.isSilent(node)) return undefined;
    try {
      return await this.#ask(node, about);
    } catch (error) {
      if (!isForebayError(error)) throw error;
      return undefined;
    }
  }

  #ask(node: string, { ref, insteadOf }: { ref: ChunkRef; insteadOf?: string }): Promise<WireAnswer> {
    const question: Question = { ref, answer: Promise.withResolvers<WireAnswer>() };
    const line = `${node} ${insteadOf ?? ''}`;
    const waiting = this.#questions.get(line);
    if (waiting === undefined) this.#questions.set(line, [question]);
    else waiting.push(question);
    if (!this.#asking.has(line)) void this.#askAll(line, node, insteadOf);
    return question.answer.promise;
  }

  async #askAll(line: string, node: string, owner: string | undefined): Promise<void> {
    const { hellos } = this.#cluster;
    this.#asking.add(line);
    await Promise.resolve();
    for (let batch = this.#questions.get(line); batch !== undefined; batch = this.#questions.get(line)) {
      this.#questions.delete(line);
      try {
        const refs = batch.map(({ ref }) => chunkName(ref));
        const message = { type: 'directory.locate', refs, ...(owner !== undefined && { owner }) };
        const answer = await hellos.unlessSilent(node, (signal) => this.#cluster.call(node, message, { signal }));
        const answers = listOf(answer);
        for (const [index, { answer }] of batch.entries()) answer.resolve(answerFromWire(answers[index]));
      } catch (error) {
        for (const { answer } of batch) answer.reject(error);
      }
    }
    this.#asking.delete(line);
  }

  /** The grant, or nothing when it is time to ask again. */
  async #wait(want: Want, ms: number, signal: AbortSignal): Promise<Source | undefined> {
    if (want.granted === undefined) {
      const woken = new AbortController();
      want.wake = () => woken.abort(SETTLED);
      await this.#cluster.clock.sleep(ms, AbortSignal.any([signal, woken.signal])).catch(() => undefined);
      signal.throwIfAborted();
    }
    const { granted } = want;
    want.granted = undefined;
    return granted;
  }

  #granted(by: string, message: PeerMessage): null {
    for (const item of itemsOf(message)) {
      const { ref, answer } = fieldsOf(item);
      const name = chunkName(refFromWire(ref));
      const want = this.#wants.get(name);
      if (want === undefined) {
        // Nobody waits for it any more: let the owner give it to another.
        this.failed(refFromWire(ref), 'cancelled');
        continue;
      }
      want.granted = this.#sourceOf(want.ref, { ...answerFromWire(answer), by });
      want.wake();
    }
    return null;
  }

  /** A node stands in for an owner that is silent: it learns what is here of that one's. */
  #deputized(deputy: string, message: PeerMessage): null {
    const { placement, members } = this.#cluster;
    for (const item of itemsOf(message)) {
      const owner = textOf(fieldsOf(item)['owner']);
      this.#standsIn(deputy, owner);
      const slots = new Set(placement.slotsOf(owner, deputy));
      const isTheirs = (ref: ChunkRef) => slots.has(slotOfChunk(ref));
      const refs = Array.from(this.#holdings()).filter(isTheirs).map(chunkName);
      const filling = [...this.#filling].filter((name) => isTheirs(refFromWire(name)));
      this.#tellHeld(deputy, refs, { filling, last: members.epoch });
    }
    return null;
  }

  #standsIn(deputy: string, owner: string): void {
    const deputies = this.#deputies.get(owner) ?? new Map<string, number>();
    this.#deputies.set(owner, deputies.set(deputy, this.#cluster.clock.boottimeMs() + deputyMs));
  }

  /** Who is told of a chunk besides its owner. */
  #deputyOf(owner: string, ref: ChunkRef): string | undefined {
    const deputies = this.#deputies.get(owner);
    const deputy = deputies && this.#cluster.placement.deputy(slotOfChunk(ref))?.node;
    if (deputies === undefined || deputy === undefined) return undefined;
    if ((deputies.get(deputy) ?? 0) > this.#cluster.clock.boottimeMs()) return deputy;
    deputies.delete(deputy);
    if (deputies.size === 0) this.#deputies.delete(owner);
    return undefined;
  }

  #tellHeld(
    node: string,
    refs: readonly string[],
    { filling, last }: { filling: readonly string[]; last: number },
  ): void {
    for (let at = 0; at < refs.length; at += HELD_BATCH)
      this.#cluster.tell(node, 'directory.held', { refs: refs.slice(at, at + HELD_BATCH) });
    this.#cluster.tell(node, 'directory.held', { refs: [], ...(filling.length > 0 && { filling }), last });
  }

  /** A new owner learns what is here, and those who waited for the old one ask the new. */
  #changed({ epoch }: Members, moves: readonly SlotMove[]): void {
    const { placement, self } = this.#cluster;
    this.#deputies.clear();
    const moved = new Set(moves.map(({ slot }) => slot));
    const first = !this.#joined;
    this.#joined = true;
    const owners = new Map<string, string[]>();
    for (const { to } of moves) if (to !== undefined) owners.set(to, []);
    for (const ref of this.#holdings()) {
      const slot = slotOfChunk(ref);
      if (!first && !moved.has(slot)) continue;
      const owner = placement.owner(slot)?.node;
      if (owner === undefined) continue;
      const refs = owners.get(owner);
      if (refs === undefined) owners.set(owner, [chunkName(ref)]);
      else refs.push(chunkName(ref));
    }
    const filling = Map.groupBy(this.#filling, (name) => {
      const slot = slotOfChunk(refFromWire(name));
      return moved.has(slot) ? placement.owner(slot)?.node : undefined;
    });
    for (const [owner, refs] of owners) this.#tellHeld(owner, refs, { filling: filling.get(owner) ?? [], last: epoch });
    for (const [name, want] of this.#wants)
      if (moved.has(slotOfChunk(refFromWire(name))) && placement.owner(slotOfChunk(refFromWire(name)))?.node !== self)
        want.wake();
  }

  #tellOwner(ref: ChunkRef, type: string, item: { readonly [name: string]: string | readonly string[] }): void {
    const owner = this.#cluster.placement.owner(slotOfChunk(ref))?.node;
    if (owner === undefined) return;
    this.#cluster.tell(owner, type, item);
    const deputy = this.#deputyOf(owner, ref);
    if (deputy !== undefined) this.#cluster.tell(deputy, type, item);
  }

  /** A report that did not arrive is told to whoever is the owner then: what is here is worth knowing, how it came is not. */
  async #reportAgain(message: PeerMessage): Promise<null> {
    const { clock, closing } = this.#cluster;
    await clock.sleep(ownerPatienceMs, closing).catch(() => undefined);
    if (closing.aborted) return null;
    for (const item of itemsOf(message)) {
      const { ref, kind } = fieldsOf(item);
      if (kind === 'done') this.done(refFromWire(ref));
    }
    return null;
  }

  async #heldAgain(node: string, message: PeerMessage): Promise<null> {
    const { clock, closing } = this.#cluster;
    await clock.sleep(ownerPatienceMs, closing).catch(() => undefined);
    if (closing.aborted || this.#cluster.member(node) === undefined) return null;
    for (const item of itemsOf(message)) {
      const { refs, last } = fieldsOf(item);
      const known = listOf(refs).map(textOf);
      // what was read from the origin then may have ended since, and that have been told
      this.#cluster.tell(node, 'directory.held', { refs: known, ...(last !== undefined && { last }) });
    }
    return null;
  }
}

/** Chunks in one thing told: with their names some 20 KiB. */
const HELD_BATCH = 512;

/**
 * This node as one of a cluster: who is in, who owns what, and messages to and from the others. What the messages mean is
 * the business of `locator.ts`, `heads.ts` and of the broadcasts in `read/`, which register for their types.
 *
 * Promise: an owner whose session has lapsed answers nothing that needs it (S-16).
 */
import { SETTLED } from '../core/abortable.ts';
import type { Address } from '../core/address.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import { epochPatienceMs, helloMs, outboxBatchMax, peerCallMs, sessionTtlMs } from '../core/limits.ts';
import type { Compare, Coordinator } from '../io/coordinator.ts';
import type { Clock } from '../io/io.ts';
import type { Json, ListenPeers, PeerCallOptions, PeerMessage, PeerService, PeerTransport } from '../io/peers.ts';
import { Budget } from '../mover/budget.ts';
import { Mover, type ServeBlocks } from '../mover/mover.ts';
import type { Emit } from '../observe/events.ts';
import { Estranged } from './estranged.ts';
import { Hellos } from './hellos.ts';
import type { Member, Members } from './member.ts';
import { joinCluster, type Membership } from './membership.ts';
import { Outbox } from './outbox.ts';
import { Placement, type SlotMove } from './placement.ts';

/** What this version speaks. */
const PROTOCOL = 1;

export interface ClusterOptions {
  readonly name: string;
  readonly node: { readonly name: string; readonly zone: string; readonly capacityBytes: number };
  readonly coordinator: Coordinator;
  readonly listenPeers: ListenPeers;
  readonly peer: {
    readonly address: Address;
    /** Where others reach it; port 0 stands for the port that it listens at. Absent: where it listens. */
    readonly advertise: Address | undefined;
    readonly secrets: () => readonly Uint8Array[];
    readonly transport: 'plain' | 'tls';
  };
  /** What may be received from peers; Infinity bounds nothing. */
  readonly peerBytesPerS: number;
  readonly clock: Clock;
  readonly emit: Emit;
}

export type Handler = (from: string, message: PeerMessage, signal: AbortSignal) => Promise<Json> | Json;
/** Slots that moved, and the members now. */
export type MembersListener = (members: Members, moves: readonly SlotMove[]) => void;

export class Cluster {
  readonly #options: ClusterOptions;
  readonly #handlers = new Map<string, Handler>();
  readonly #listeners = new Set<MembersListener>();
  readonly #outbox: Outbox;
  readonly #estranged: Estranged;
  readonly #stop = new AbortController();
  readonly placement = new Placement();
  readonly mover: Mover;
  /** Which members do not answer. */
  readonly hellos: Hellos;
  #serveBlocks: ServeBlocks = refuseBlocks;
  #transport: PeerTransport | undefined;
  #membership: Membership | undefined;
  #byName = new Map<string, Member>();
  /** Messages from later membership epochs, waiting. */
  readonly #behind = new Set<() => void>();

  /** Talks to nobody until `join`. */
  constructor(options: ClusterOptions) {
    this.#options = options;
    const { clock, emit } = options;
    this.mover = new Mover({
      transport: () => this.#peers(),
      clock,
      emit,
      budget: new Budget(clock, options.peerBytesPerS),
    });
    this.#estranged = new Estranged({
      clock,
      emit,
      closing: this.#stop.signal,
      probe: (node) => this.call(node, { type: 'hello' }),
      onChange: () => this.#place(),
    });
    this.hellos = new Hellos({
      clock,
      hello: (node) => this.call(node, { type: 'hello' }, { deadlineMs: helloMs, isProbe: true }),
      sessionOf: (node) => this.member(node)?.session,
    });
    this.handle('hello', () => null);
    this.#outbox = new Outbox({
      batchMax: outboxBatchMax,
      send: (node, type, items) => this.call(node, { type, items }),
      onLost: (node, type, items, error) => this.#lost(node, type, items, error),
    });
  }

  /** Why a member and this node do not speak; `undefined` where they do. */
  troubleWith(node: string): string | undefined {
    return this.#estranged.why(node);
  }

  get self(): string {
    return this.#options.node.name;
  }

  get zone(): string {
    return this.#options.node.zone;
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  get emit(): Emit {
    return this.#options.emit;
  }

  get members(): Members {
    return this.#membership?.current ?? { epoch: 0, members: [] };
  }

  /** Where peers reach this node. */
  get address(): Address {
    return this.#peers().address;
  }

  /** The coordinator does not answer, so the members are those of before. */
  get isFrozen(): boolean {
    return this.#membership?.isFrozen ?? false;
  }

  /** The session is not lapsed: this node may act as an owner. */
  mayAct(): boolean {
    return this.#membership?.mayAct() ?? false;
  }

  /** Names this life of the daemon; empty before `join`. Another one begins when the session was lost. */
  get session(): string {
    return this.#membership === undefined ? '' : this.#membership.self.session;
  }

  /** A compare that holds while this life of this node is in. Throws coordinatorUnavailable before `join`. */
  fence(): Compare {
    if (this.#membership === undefined)
      throw new ForebayError('coordinatorUnavailable', 'this node has not joined its cluster yet');
    return this.#membership.fence();
  }

  get closing(): AbortSignal {
    return this.#stop.signal;
  }

  member(node: string): Member | undefined {
    return this.#byName.get(node);
  }

  /** Before `join`. */
  handle(type: string, handler: Handler): void {
    this.#handlers.set(type, handler);
  }

  /** Before `join`. */
  serveBlocks(serve: ServeBlocks): void {
    this.#serveBlocks = serve;
  }

  /** Returns what ends it. */
  onMembers(listener: MembersListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Listens, and becomes a member; `instance` as in `JoinOptions`. Throws nameTaken, the coordinator's errors, or the
   * system's when the address is taken.
   */
  async join(instance?: string): Promise<void> {
    const { node, peer, coordinator, clock, emit, listenPeers, name } = this.#options;
    this.#transport = await listenPeers({
      node: node.name,
      cluster: name,
      address: peer.address,
      secrets: peer.secrets,
      transport: peer.transport,
      service: this.#service(),
      onRefused: (reason) => emit({ kind: 'peer.refused', reason }),
    });
    const listening = this.#transport.address;
    const advertised = peer.advertise ?? listening;
    const address = { host: advertised.host, port: advertised.port === 0 ? listening.port : advertised.port };
    this.#membership = await joinCluster({
      coordinator,
      clock,
      emit,
      ttlMs: sessionTtlMs,
      ...(instance !== undefined && { instance }),
      self: { node: node.name, zone: node.zone, capacityBytes: node.capacityBytes, address, protocol: PROTOCOL },
    });
    this.#membership.onChange((members) => this.#changed(members));
    this.#changed(this.#membership.current);
  }

  /** One message and its answer; this node answers itself at once. Rejects as `PeerTransport.call`. */
  async call(node: string, message: PeerMessage, options: Partial<PeerCallOptions> = {}): Promise<Json> {
    const signal = options.signal ?? this.#stop.signal;
    if (node === this.self) return this.#answer(this.self, message, signal);
    const { deadlineMs = peerCallMs, isProbe } = options;
    const member = this.endpoint(node);
    try {
      const { epoch } = this.members;
      const answer = await this.#peers().call(member, { ...message, epoch }, { deadlineMs, signal, isProbe });
      this.hellos.answered(node);
      return answer;
    } catch (error) {
      if (isForebayError(error, 'peerRefused')) this.#estranged.refused(node, member.session, error.message);
      throw error;
    }
  }

  /** Tells a node something, in order with what else it is told of this type; `items` of one message reach its handler together. */
  tell(node: string, type: string, item: Json): void {
    this.#outbox.post(node, type, item);
  }

  /** Throws peerUnreachable for who is not a member. */
  endpoint(node: string): Member {
    const member = this.#byName.get(node);
    if (member === undefined) throw new ForebayError('peerUnreachable', `${node} is not a member of the cluster`);
    return member;
  }

  /** Leaves, so that nobody waits for the lease to end, and stops listening. */
  async close(): Promise<void> {
    this.#stop.abort(new ForebayError('shuttingDown', 'the node is stopping'));
    await this.#membership?.leave().catch(() => undefined);
    await this.#transport?.close();
    await this.#options.coordinator.close();
  }

  #peers(): PeerTransport {
    if (this.#transport === undefined) throw new ForebayError('peerUnreachable', 'this node has not joined yet');
    return this.#transport;
  }

  #service(): PeerService {
    return {
      call: async (from, message, signal) => this.#answer(from, message, signal),
      blocks: (from, request, signal) => this.mover.upload(this.#serveBlocks(from, request, signal)),
    };
  }

  async #answer(from: string, message: PeerMessage, signal: AbortSignal): Promise<Json> {
    const handler = this.#handlers.get(message.type);
    if (handler === undefined)
      throw new ForebayError('invalidRequest', `this version knows no message of type ${JSON.stringify(message.type)}`);
    const { epoch } = message;
    if (typeof epoch === 'number' && epoch > this.members.epoch) await this.#catchUp(epoch, signal);
    return handler(from, message, signal);
  }

  /**
   * The asker knows of a later membership epoch: what it says may be for this node as an owner that it does not know to be
   * yet. Waits for that, for as long as news of the membership can be expected soon.
   */
  async #catchUp(epoch: number, signal: AbortSignal): Promise<void> {
    if (this.#membership !== undefined && !this.mayAct()) return;
    const caughtUp = new AbortController();
    const look = () => {
      if (this.members.epoch >= epoch) caughtUp.abort(SETTLED);
    };
    this.#behind.add(look);
    const either = AbortSignal.any([signal, this.#stop.signal, caughtUp.signal]);
    await this.#options.clock.sleep(epochPatienceMs, either).catch(() => undefined);
    this.#behind.delete(look);
  }

  #changed(members: Members): void {
    const before = this.#byName;
    this.#byName = new Map(members.members.map((member) => [member.node, member]));
    for (const [node, member] of before)
      if (this.#byName.get(node)?.session !== member.session) this.#transport?.forget(node);
    this.#place();
    for (const look of this.#behind) look();
  }

  /** Gives slots to the members that this node speaks with. */
  #place(): void {
    const members = this.#estranged.without(this.members);
    const moves = this.placement.update(members);
    for (const listener of Array.from(this.#listeners)) listener(members, moves);
  }

  #lost(node: string, type: string, items: readonly Json[], error: unknown): void {
    if (!isForebayError(error)) throw error;
    const handler = this.#handlers.get(`lost:${type}`);
    if (handler !== undefined) void handler(node, { type, items }, this.#stop.signal);
  }
}

const refuseBlocks: ServeBlocks = () => ({
  [Symbol.asyncIterator]: () => ({
    next: () => Promise.reject(new ForebayError('notHeld', 'this node serves no blocks yet')),
  }),
});

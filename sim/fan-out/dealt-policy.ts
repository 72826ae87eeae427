/** Dealt links, by the shipped dealer and members. */
import type { DealerAction, MemberAction, MemberReport } from '../../src/cluster/broadcast.ts';
import { BroadcastDealer } from '../../src/cluster/broadcast-dealer.ts';
import { BroadcastMember } from '../../src/cluster/broadcast-member.ts';
import { type Delivery, type FanOutPolicy, ORIGIN, type World } from './world.ts';

const ORIGIN_NAME = 'origin';

export class DealtPolicy implements FanOutPolicy {
  readonly #world: World;
  readonly #dealer: BroadcastDealer;
  readonly #members: (BroadcastMember | undefined)[];
  /** What a source still has to send to a reader, in the order asked for; the first is on its way. */
  readonly #queues = new Map<number, number[]>();
  readonly #timers: (number | undefined)[];
  #dealerTimer: number | undefined;
  #dealerTimerMs = Number.POSITIVE_INFINITY;

  constructor(world: World) {
    const { chunks, chunkBytes, nodes } = world.parameters;
    this.#world = world;
    this.#dealer = new BroadcastDealer({ chunks, chunkBytes, random: world.random.fork('dealer') });
    this.#members = Array.from({ length: nodes }, () => undefined);
    this.#timers = Array.from({ length: nodes }, () => undefined);
  }

  arrive(node: number): void {
    const { chunks, chunkBytes } = this.#world.parameters;
    const member = new BroadcastMember({ chunks, chunkBytes, random: this.#world.random.fork(`member ${node}`) });
    this.#members[node] = member;
    this.#act(node, member.join(this.#world.nowMs));
  }

  delivered({ source, reader, chunk }: Delivery): void {
    const world = this.#world;
    if (source !== ORIGIN) this.#servedOne(source, reader, chunk, true);
    const member = this.#member(reader);
    this.#act(reader, member.arrived(world.nowMs, chunk, source === ORIGIN ? ORIGIN_NAME : name(source)));
    if (member.finished) world.finished(reader);
  }

  broken({ source, reader, chunk }: Delivery, reason: 'timeout' | 'notHeld'): void {
    if (reason === 'notHeld') this.#servedOne(source, reader, chunk, false);
    this.#act(reader, this.#member(reader).failed(this.#world.nowMs, name(source), chunk, reason));
  }

  progress(node: number, bytes: number): void {
    this.#act(node, this.#member(node).received(this.#world.nowMs, bytes));
  }

  dead(node: number): void {
    this.#order(this.#dealer.lost(this.#world.nowMs, name(node)));
  }

  #member(node: number): BroadcastMember {
    return this.#members[node] as BroadcastMember;
  }

  #act(node: number, actions: readonly MemberAction[]): void {
    const world = this.#world;
    for (const action of actions) {
      switch (action.kind) {
        case 'request':
          this.#request(node, index(action.source), action.chunk);
          break;
        case 'cancel':
          this.#cancel(node, index(action.source), action.chunk);
          break;
        case 'fill':
          world.transfer({ source: ORIGIN, reader: node, chunk: action.chunk });
          break;
        case 'stopFill':
          world.giveUp(node, action.chunk);
          break;
        case 'announce': {
          const to = index(action.to);
          world.post(to, () =>
            this.#act(to, this.#member(to).announced(world.nowMs, name(node), action.have, action.all)),
          );
          break;
        }
        case 'tell':
          world.post(undefined, () => this.#report(node, action.report));
      }
    }
    this.#watch(node);
  }

  #request(reader: number, source: number, chunk: number): void {
    const world = this.#world;
    const ask = () => {
      this.#member(source).asked(name(reader), chunk);
      const key = source * world.parameters.nodes + reader;
      const queue = this.#queues.get(key);
      if (queue !== undefined && queue.length > 0) {
        queue.push(chunk);
        return;
      }
      this.#queues.set(key, [chunk]);
      world.transfer({ source, reader, chunk });
    };
    world.post(source, ask, () => world.alive(reader) && this.broken({ source, reader, chunk }, 'timeout'));
  }

  #cancel(reader: number, source: number, chunk: number): void {
    const world = this.#world;
    world.post(source, () => this.#servedOne(source, reader, chunk, false));
  }

  /** One of a link's chunks has gone out or is not wanted any more: the next one begins. */
  #servedOne(source: number, reader: number, chunk: number, whole: boolean): void {
    const world = this.#world;
    const key = source * world.parameters.nodes + reader;
    const queue = this.#queues.get(key);
    const at = queue?.indexOf(chunk) ?? -1;
    if (queue === undefined || at < 0) return;
    queue.splice(at, 1);
    if (!whole && at === 0) world.giveUp(reader, chunk);
    if (at === 0) {
      const next = queue[0];
      if (next === undefined) this.#queues.delete(key);
      else if (world.alive(reader)) world.transfer({ source, reader, chunk: next });
    }
    if (world.alive(source)) this.#act(source, this.#member(source).served(name(reader), chunk, whole));
  }

  #report(node: number, report: MemberReport): void {
    this.#order(this.#dealer.report(this.#world.nowMs, name(node), report));
  }

  #order(actions: readonly DealerAction[]): void {
    const world = this.#world;
    for (const { to, order } of actions) {
      const node = index(to);
      world.post(node, () => this.#act(node, this.#member(node).order(world.nowMs, order)));
    }
    const nextMs = this.#dealer.nextMs() ?? Number.POSITIVE_INFINITY;
    if (nextMs === this.#dealerTimerMs) return;
    if (this.#dealerTimer !== undefined) world.cancelTimer(this.#dealerTimer);
    this.#dealerTimerMs = nextMs;
    this.#dealerTimer = undefined;
    if (nextMs === Number.POSITIVE_INFINITY) return;
    this.#dealerTimer = world.at(nextMs, () => {
      this.#dealerTimerMs = Number.POSITIVE_INFINITY;
      this.#dealerTimer = undefined;
      this.#order(this.#dealer.tick(world.nowMs));
    });
  }

  /** A timer per node is set only while it starves, and looked at again when it fires. */
  #watch(node: number): void {
    const world = this.#world;
    if (this.#timers[node] !== undefined) return;
    const nextMs = this.#member(node).nextMs();
    if (nextMs === undefined) return;
    this.#timers[node] = world.at(nextMs, () => {
      this.#timers[node] = undefined;
      if (world.alive(node)) this.#act(node, this.#member(node).tick(world.nowMs));
    });
  }
}

const name = (node: number) => `n${node}`;
const index = (node: string) => Number(node.slice(1));

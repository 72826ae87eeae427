/** Keepers and holders over a simulated coordinator and clock, with any origin: for the tests of the drain. */

import { Life, SimClock, SimMachineClock } from '../../sim/sim-clock.ts';
import { NO_COORDINATOR_FAULTS, SimCoordinator } from '../../sim/sim-coordinator.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { Trace } from '../../sim/trace.ts';
import type { Handler, MembersListener } from '../../src/cluster/cluster.ts';
import { ForebayError } from '../../src/core/errors.ts';
import type { ContentId } from '../../src/core/ids.ts';
import type { Volume, WritePolicy } from '../../src/core/volume.ts';
import type { DrainCluster } from '../../src/drain/drain.ts';
import { Drain } from '../../src/drain/drain.ts';
import type { Coordinator, Session } from '../../src/io/coordinator.ts';
import type { Clock } from '../../src/io/io.ts';
import type { Json, PeerMessage } from '../../src/io/peers.ts';
import { Budget } from '../../src/mover/budget.ts';
import type { Event } from '../../src/observe/events.ts';
import type { Origin } from '../../src/origin/origin.ts';
import { createRecords } from '../../src/write/coordinator-records.ts';
import type { DirtyRecord, ObjectRecord, Tombstone } from '../../src/write/object-record.ts';
import { baseOver } from '../../src/write/record-decisions.ts';
import { RecordLineage } from '../../src/write/record-lineage.ts';
import type { Records } from '../../src/write/records.ts';
import { succeeding } from '../../src/write/version-order.ts';

export const VOLUME = 'v';
export const MiB = 1 << 20;
const TTL_MS = 10_000;

export const POLICY: WritePolicy = {
  ack: 'local',
  replicas: 2,
  onDegraded: 'local',
  onFull: 'fail',
  onConflict: 'hold',
  drainOrder: 'directory',
};

/** Bytes of a ramp modulo a prime, so that a misplaced one shows. */
export function ramp(sizeBytes: number, seed = 0): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (let i = 0; i < sizeBytes; i++) bytes[i] = (i * 7 + seed) % 251;
  return bytes;
}

export class DrainWorld {
  readonly clock: SimClock;
  readonly coordinator: SimCoordinator;
  readonly nodes = new Map<string, DrainNode>();
  readonly origin: Origin;
  readonly policy: WritePolicy;
  readonly events: Event[] = [];
  readonly writer: Records;
  /** Told before a message is answered. */
  onMessage: ((to: string, message: PeerMessage) => void | Promise<void>) | undefined;
  readonly #random: SimRandom;
  #contents = 0;

  constructor(options: {
    seed?: number;
    policy?: Partial<WritePolicy>;
    origin: (io: { clock: Clock; random: SimRandom }) => Origin;
  }) {
    this.#random = new SimRandom(options.seed ?? 1);
    const trace = new Trace();
    this.clock = new SimClock(this.#random.fork('clock'), trace);
    const faults = NO_COORDINATOR_FAULTS;
    this.coordinator = new SimCoordinator({
      clock: this.clock,
      trace,
      faults,
      random: this.#random.fork('coordinator'),
    });
    this.policy = { ...POLICY, ...options.policy };
    const life = new Life('writer');
    const clock = new SimMachineClock(this.clock, this.#random.fork('writer')).attach(life);
    this.writer = createRecords({ coordinator: this.coordinator.attach({ life, clock }), clock });
    this.origin = options.origin({ clock, random: this.#random.fork('origin') });
  }

  async start(name: string, origin: Origin = this.origin): Promise<DrainNode> {
    const life = new Life(name);
    const clock = new SimMachineClock(this.clock, this.#random.fork(name)).attach(life);
    const coordinator = this.coordinator.attach({ life, clock });
    const session = await this.run(coordinator.session({ ttlMs: TTL_MS }));
    const node = new DrainNode(this, {
      name,
      life,
      clock,
      coordinator,
      session,
      origin,
      random: this.#random.fork(`${name} random`),
    });
    this.nodes.set(name, node);
    for (const other of this.nodes.values()) other.membersChanged();
    node.drain.start();
    return node;
  }

  /** It dies, and others notice as its session ends. */
  async kill(name: string): Promise<void> {
    const node = this.nodes.get(name) as DrainNode;
    node.life.alive = false;
    this.nodes.delete(name);
    await this.pass(1.2 * TTL_MS);
    for (const other of this.nodes.values()) other.membersChanged();
  }

  run<T>(promise: Promise<T>): Promise<T> {
    return this.clock.settle(promise);
  }

  async pass(ms: number): Promise<void> {
    await this.run(this.clock.sleep(ms));
  }

  async until(what: string, holds: () => boolean | Promise<boolean>, limitMs = 120_000): Promise<void> {
    const endMs = this.clock.nowMs + limitMs;
    while (!(await this.run(Promise.resolve(holds())))) {
      if (this.clock.nowMs > endMs) throw new Error(`not within ${limitMs} ms: ${what}`);
      await this.pass(100);
    }
  }

  async current(key: string): Promise<ObjectRecord['current']> {
    return (await this.run(this.writer.read(VOLUME, key))).record?.current;
  }

  /** Commits a version that all nodes hold, or those named. */
  async put(
    key: string,
    bytes: Uint8Array,
    options: { base?: DirtyRecord['base']['origin']; urgent?: boolean; on?: readonly string[] } = {},
  ): Promise<DirtyRecord> {
    const on = options.on ?? Array.from(this.nodes.keys());
    const content = (++this.#contents).toString(16).padStart(32, '0') as ContentId;
    for (const name of on) this.nodes.get(name)?.contents.set(content, bytes);
    const read = await this.run(this.writer.read(VOLUME, key));
    const has = options.base ?? (await this.#etag(key));
    const version: DirtyRecord = {
      kind: 'dirty',
      content,
      sizeBytes: bytes.length,
      chunkSizeBytes: 16 * MiB,
      modifiedMs: 0,
      headers: { 'content-type': 'text/plain' },
      metadata: { who: 'me' },
      level: on.length > 1 ? 'replicated' : 'local',
      replicas: on,
      table: '0'.repeat(64),
      base: baseOver(read, { origin: { has }, begunRevision: read.asOf }),
      begunRevision: read.asOf,
      urgent: options.urgent ?? false,
      ...succeeding(read.record, read.revision),
    };
    await this.#commit(key, read, { ...read.record, current: version });
    return version;
  }

  async delete(key: string, base: Tombstone['base']['origin'] = 'unknown'): Promise<void> {
    const read = await this.run(this.writer.read(VOLUME, key));
    const current: Tombstone = {
      kind: 'tombstone',
      modifiedMs: 0,
      base: baseOver(read, { origin: { has: base }, begunRevision: read.asOf }),
      begunRevision: read.asOf,
      drained: false,
      ...succeeding(read.record, read.revision),
    };
    await this.#commit(key, read, { ...read.record, current });
  }

  async #commit(key: string, read: { revision: number }, record: ObjectRecord): Promise<void> {
    await this.run(this.writer.commit({ volume: VOLUME, key, expected: read.revision, record }));
  }

  /** The object at the origin, whole. */
  async at(
    key: string,
  ): Promise<{ etag: string; bytes: Buffer; metadata: Readonly<Record<string, string>> } | undefined> {
    return this.run(this.#at(key));
  }

  async #etag(key: string): Promise<'absent' | { etag: string }> {
    const found = await this.run(this.origin.head(key).catch(() => undefined));
    return found === undefined ? 'absent' : { etag: found.etag };
  }

  async #at(key: string) {
    const version = await this.origin.head(key);
    if (version === undefined) return undefined;
    const { etag, sizeBytes, metadata } = version;
    const pieces: Uint8Array[] = [];
    for await (const piece of await this.origin.get(key, { etag, range: { start: 0, end: sizeBytes } }))
      pieces.push(piece);
    return { etag, metadata, bytes: Buffer.concat(pieces) };
  }
}

interface NodeParts {
  readonly name: string;
  readonly life: Life;
  readonly clock: Clock;
  readonly coordinator: Coordinator;
  readonly session: Session;
  readonly origin: Origin;
  readonly random: SimRandom;
}

export class DrainNode implements DrainCluster {
  readonly self: string;
  readonly life: Life;
  readonly drain: Drain;
  readonly contents = new Map<string, Uint8Array>();
  readonly written: string[] = [];
  readonly #world: DrainWorld;
  readonly #parts: NodeParts;
  readonly #handlers = new Map<string, Handler>();
  readonly #listeners = new Set<MembersListener>();

  constructor(world: DrainWorld, parts: NodeParts) {
    this.#world = world;
    this.#parts = parts;
    this.self = parts.name;
    this.life = parts.life;
    const { clock, coordinator, random, origin } = parts;
    const volume: Volume = {
      name: VOLUME,
      origin: 'memory:',
      write: true,
      revalidateMs: 0,
      staleIfErrorMs: 0,
      chunkSizeBytes: 16 * MiB,
      verify: 'arrival',
      writes: world.policy,
    };
    this.drain = new Drain({
      cluster: this,
      coordinator,
      records: createRecords({ coordinator, clock }),
      lineage: new RecordLineage({ coordinator, random }),
      store: {
        holdKnown: (id) => (this.contents.has(id) ? { chunkSizeBytes: 16 * MiB, release: () => undefined } : undefined),
        acquire: async (id, range) => {
          const bytes = this.contents.get(id)?.subarray(range.start, range.end);
          return bytes && { kind: 'bytes', bytes, release: () => undefined };
        },
      },
      keeping: { contents: () => [], takeNoMore: () => () => undefined, judged: () => undefined },
      volumes: new Map([[VOLUME, { volume, origin }]]),
      budget: new Budget(clock, Number.POSITIVE_INFINITY),
      traffic: { turn: () => Promise.resolve() },
      clock,
      random,
      emit: (event) => world.events.push(event),
      onWritten: async (_volume, key) => {
        this.written.push(key);
      },
    });
  }

  get session(): string {
    return this.#parts.session.id;
  }

  get members() {
    const members = Array.from(
      this.#world.nodes.keys(),
      (node) => this.member(node) as NonNullable<ReturnType<DrainNode['member']>>,
    );
    return { epoch: 1, members };
  }

  member(node: string) {
    const found = this.#world.nodes.get(node);
    if (found === undefined) return undefined;
    const address = { host: '10.0.0.1', port: 7074 };
    return { node, session: found.session, zone: 'z', capacityBytes: 1, address, protocol: 1 };
  }

  mayAct(): boolean {
    const { session, clock } = this.#parts;
    return !session.lost.aborted && clock.boottimeMs() < session.actUntilMs;
  }

  fence() {
    return { key: `none/${this.self}`, target: 'createRevision', equals: 0 } as const;
  }

  handle(type: string, handler: Handler): void {
    this.#handlers.set(type, handler);
  }

  onMembers(listener: MembersListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  membersChanged(): void {
    for (const listener of Array.from(this.#listeners)) listener(this.members, []);
  }

  async call(node: string, message: PeerMessage, options: { signal?: AbortSignal } = {}): Promise<Json> {
    const to = this.#world.nodes.get(node);
    await this.#world.clock.sleep(1);
    if (to === undefined) throw new ForebayError('peerUnreachable', `${node} is away`);
    await this.#world.onMessage?.(node, message);
    const handler = to.#handlers.get(message.type) as Handler;
    return await handler(this.self, message, options.signal ?? new AbortController().signal);
  }

  get isKeeper(): boolean {
    return this.drain.kept.length > 0;
  }
}

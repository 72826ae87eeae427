/** Nodes of a simulated cluster with stores, readers and records, and an origin that counts what is asked of it: for tests of reads. */
import { Life, SimClock, SimMachineClock } from '../../sim/sim-clock.ts';
import { NO_COORDINATOR_FAULTS, SimCoordinator } from '../../sim/sim-coordinator.ts';
import { SimDisk } from '../../sim/sim-disk.ts';
import { type SimHost, SimNetwork } from '../../sim/sim-network.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { Trace } from '../../sim/trace.ts';
import { Cluster } from '../../src/cluster/cluster.ts';
import { Directory } from '../../src/cluster/directory.ts';
import { DirectoryOwner } from '../../src/cluster/directory-owner.ts';
import { Holder } from '../../src/cluster/holder.ts';
import { Locator } from '../../src/cluster/locator.ts';
import type { ContentId } from '../../src/core/ids.ts';
import { KiB, MiB } from '../../src/core/limits.ts';
import type { Range } from '../../src/core/range.ts';
import type { Volume } from '../../src/core/volume.ts';
import type { Event } from '../../src/observe/events.ts';
import { createMemoryOrigin } from '../../src/origin/memory.ts';
import type { Origin } from '../../src/origin/origin.ts';
import { createReader, type ReadThrough } from '../../src/read/read.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { createRecords } from '../../src/write/coordinator-records.ts';
import type { DirtyRecord, Stub } from '../../src/write/object-record.ts';
import { createRecordView } from '../../src/write/record-view.ts';
import type { Records } from '../../src/write/records.ts';
import { dirty } from './samples.ts';

export const VOLUME = 'steps';
export const CHUNK_BYTES = 4 * MiB;
const SECRET = Buffer.from('the secret of the simulated nodes');

export interface SimReadNode {
  readonly name: string;
  readonly store: Store;
  readonly reader: ReadThrough;
  readonly records: Records;
  readonly cluster: Cluster;
  readonly events: Event[];
  readonly host: SimHost;
  crash(): void;
}

/** Bytes by which a misplaced one shows. */
export function ramp(sizeBytes: number, seed = 0): Buffer {
  const bytes = Buffer.allocUnsafe(sizeBytes);
  for (let at = 0; at < sizeBytes; at += 1) bytes[at] = (at + seed * 7) % 251;
  return bytes;
}

export class SimNodes {
  readonly clock: SimClock;
  readonly coordinator: SimCoordinator;
  readonly network: SimNetwork;
  readonly origin: Origin;
  /** What the origin was asked for: `head KEY`, `get KEY`, `list PREFIX`. */
  readonly asked: string[] = [];
  readonly #trace = new Trace();
  readonly #random = new SimRandom(23);
  readonly #source: Volume;
  readonly #lives = new Map<string, { readonly life: Life; readonly clock: ReturnType<SimMachineClock['attach']> }>();

  constructor(volume: Partial<Volume> = {}) {
    this.clock = new SimClock(this.#random.fork('clock'), this.#trace);
    const shared = { clock: this.clock, trace: this.#trace };
    const faults = NO_COORDINATOR_FAULTS;
    this.coordinator = new SimCoordinator({ ...shared, random: this.#random.fork('coordinator'), faults });
    this.network = new SimNetwork({ ...shared, random: this.#random.fork('network') });
    const machine = new SimMachineClock(this.clock, this.#random.fork('origin machine'));
    const clock = machine.attach(new Life('origin'));
    this.origin = counted(createMemoryOrigin({ clock, random: this.#random.fork('origin') }), this.asked);
    this.#source = {
      name: VOLUME,
      origin: 'memory:',
      write: true,
      revalidateMs: 60_000,
      staleIfErrorMs: Number.POSITIVE_INFINITY,
      chunkSizeBytes: CHUNK_BYTES,
      verify: 'arrival',
      writes: {
        ack: 'local',
        replicas: 2,
        onDegraded: 'wait',
        onFull: 'block',
        onConflict: 'hold',
        drainOrder: 'directory',
      },
      ...volume,
    };
  }

  /** Of a node that was started: for one more connection to the coordinator. */
  attachment(name: string) {
    const { life, clock } = this.#lives.get(name) as { life: Life; clock: ReturnType<SimMachineClock['attach']> };
    return { life, clock, node: name };
  }

  random(name: string): SimRandom {
    return this.#random.fork(`${name} further`);
  }

  /** Settles it in virtual time. */
  run<T>(work: Promise<T>, forMs = 60_000): Promise<T> {
    return this.clock.settle(work, this.clock.nowMs + forMs);
  }

  async start(name: string, { capacityBytes = 256 * MiB } = {}): Promise<SimReadNode> {
    const random = this.#random.fork(name);
    const machine = new SimMachineClock(this.clock, random.fork('clock'));
    const life = new Life(name);
    const clock = machine.attach(life);
    this.#lives.set(name, { life, clock });
    const simDisk = new SimDisk({
      clock: this.clock,
      machine,
      random: random.fork('disk'),
      trace: this.#trace,
      capacityBytes: 1024 * MiB,
      canPunch: true,
      canClone: false,
      deadlineMs: 3000,
      faults: { latencyMs: 0.1, bytesPerMs: 1 << 20, slowChance: 0, slowMs: 0, errorChance: 0 },
    });
    const events: Event[] = [];
    const emit = (event: Event): void => void events.push(event);
    const host = this.network.addHost(name, { upBytesPerMs: 1 << 17, downBytesPerMs: 1 << 17 });
    const coordinator = this.coordinator.attach({ life, clock, node: name });
    const records = createRecords({ coordinator, clock });
    const store = await this.run(
      openStore({
        disk: simDisk.attach(life),
        clock,
        random,
        directory: '/cache',
        capacityBytes,
        hotBytes: 256 * KiB,
        factBytes: 8 * MiB,
        scrubBytesPerS: 0,
        emit,
      }),
    );
    const cluster = new Cluster({
      name: 'sim',
      node: { name, zone: name, capacityBytes },
      coordinator,
      listenPeers: this.network.attach(host, life),
      peer: {
        address: { host: name, port: 7074 },
        advertise: undefined,
        secrets: () => [SECRET],
        transport: 'plain',
      },
      peerBytesPerS: Number.POSITIVE_INFINITY,
      clock,
      emit,
    });
    const locator = new Locator({ cluster, holdings: () => store.wholeChunks() });
    const owner = new DirectoryOwner(cluster, new Directory());
    const reader = createReader({
      store,
      clock,
      random,
      emit,
      fillsMax: 8,
      peers: { cluster, locator },
      volumes: new Map([[VOLUME, { volume: this.#source, origin: this.origin }]]),
      records: createRecordView(records),
    });
    new Holder({
      cluster,
      store,
      arriving: (id, block) => reader.arriving(id, block),
      onServe: (id, from, chunk) => reader.serving(id, from, chunk),
    });
    await this.run(cluster.join(name));
    void owner.run().catch(() => undefined);
    const crash = (): void => {
      simDisk.crash(life, 'machine');
      this.network.crash(life, 'machine');
      host.hasPower = false;
    };
    return { name, store, reader, records, cluster, events, host, crash };
  }

  /** Puts a dirty content into the store of each of the nodes, and its record into the coordinator. */
  async write(
    nodes: readonly SimReadNode[],
    key: string,
    { n, bytes, changes = {} }: { n: number; bytes: Uint8Array; changes?: Partial<DirtyRecord> },
  ): Promise<{ record: DirtyRecord; revision: number }> {
    const [writer] = nodes as [SimReadNode, ...SimReadNode[]];
    const record = dirty(n, {
      sizeBytes: bytes.length,
      chunkSizeBytes: CHUNK_BYTES,
      replicas: nodes.map(({ name }) => name),
      ...changes,
    });
    for (const node of nodes) await this.run(hold(node.store, record.content, key, bytes));
    const { revision: expected, record: before } = await this.run(writer.records.read(VOLUME, key));
    const next = { ...before, current: record };
    const revision = await this.run(writer.records.commit({ volume: VOLUME, key, expected, record: next }));
    return { record, revision };
  }

  /** The version reaches the origin, and its record becomes a stub, as by a drain. */
  async drain(node: SimReadNode, key: string, bytes: Uint8Array): Promise<Stub> {
    const { record, revision } = await this.run(node.records.read(VOLUME, key));
    const current = record?.current;
    if (current?.kind !== 'dirty') throw new Error(`${key} is not dirty`);
    const { content, sizeBytes, chunkSizeBytes, modifiedMs, headers, metadata } = current;
    const etag = await this.put(key, bytes);
    await this.run(node.reader.written(VOLUME, key));
    const stub: Stub = { kind: 'stub', content, sizeBytes, chunkSizeBytes, modifiedMs, headers, metadata, etag };
    await this.run(node.records.commit({ volume: VOLUME, key, expected: revision, record: { current: stub } }));
    return stub;
  }

  /** Somebody puts an object at the origin; its ETag. */
  async put(key: string, bytes: Uint8Array): Promise<string> {
    const body = {
      lengthBytes: bytes.length,
      replayable: true,
      async *stream() {
        yield bytes;
      },
    };
    return (await this.run(this.origin.put(key, body, { headers: {}, metadata: {} }))).etag;
  }

  /** What a client reads. */
  async get(
    node: SimReadNode,
    key: string,
    range?: Range,
  ): Promise<{ bytes: Buffer; doorEtag: string; stale: boolean }> {
    const signal = new AbortController().signal;
    const read = async () => {
      const opened = await node.reader.open(VOLUME, key, signal);
      try {
        const bytes = await bytesOf(opened.pieces(range ?? { start: 0, end: opened.fact.sizeBytes }, signal));
        return { bytes, doorEtag: opened.fact.doorEtag, stale: opened.stale };
      } finally {
        opened.close();
      }
    };
    return this.run(read());
  }
}

async function hold(store: Store, id: ContentId, key: string, bytes: Uint8Array): Promise<void> {
  const staging = await store.stage({ id, chunkSizeBytes: CHUNK_BYTES, lengthBytes: bytes.length });
  await staging.write(0, bytes);
  await staging.sum(bytes.length);
  await staging.seal({ volume: VOLUME, key, record: new Uint8Array(0) });
}

/** The bytes of an object's pieces. */
export async function bytesOf(pieces: ReturnType<Awaited<ReturnType<ReadThrough['open']>>['pieces']>): Promise<Buffer> {
  const found: Uint8Array[] = [];
  for await (const piece of pieces) {
    if (piece.kind === 'bytes') found.push(Uint8Array.from(piece.bytes));
    else
      for (let at = piece.range.start; at < piece.range.end; at += MiB)
        found.push(await piece.file.read(at, Math.min(MiB, piece.range.end - at)));
    piece.release();
  }
  return Buffer.concat(found);
}

function counted(origin: Origin, asked: string[]): Origin {
  return new Proxy(origin, {
    get(target, name) {
      const value = Reflect.get(target, name, target) as unknown;
      if (typeof value !== 'function') return value;
      return (...parameters: unknown[]) => {
        const [first] = parameters;
        const what = typeof first === 'string' ? first : ((first as { prefix?: string } | undefined)?.prefix ?? '');
        asked.push(`${String(name)} ${what}`);
        return (value as (...all: unknown[]) => unknown).apply(target, parameters);
      };
    },
  });
}

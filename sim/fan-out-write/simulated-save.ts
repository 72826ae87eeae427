/**
 * A checkpoint that is staged, replicated and committed by the shipped policies: every file whole on the first nodes of its replica group
 * (`write/replica-group.ts`), pulled while it is still written, a bounded number of messages at once; two commits for each file,
 * one when it is synced here and one when its replicas are.
 */
import type { ContentId } from '../../src/core/ids.ts';
import { stagePullsInFlightMax } from '../../src/core/limits.ts';
import { CopyTraffic } from '../../src/write/copy-traffic.ts';
import { ReplicaRing } from '../../src/write/replica-group.ts';
import type { FlowCoordinator } from './flow-coordinator.ts';
import type { FlowDisk, FlowLoop } from './flow-loop.ts';
import { type FanOutWriteParameters, pieceBytes, piecesOf } from './parameters.ts';

export interface SavedFile {
  readonly key: string;
  readonly content: ContentId;
  readonly sizeBytes: number;
  readonly writer: number;
  /** Nodes that have it whole and synced, the writer first. */
  readonly holders: number[];
  readonly begunRevision: number;
}

export interface SaveEvents {
  /** It is synced where it was written, and committed at `local`. */
  readonly onLocal: (file: SavedFile, revision: number) => void;
  /** As many nodes as wanted have it, and its record says so. */
  readonly onReplicated: (file: SavedFile, revision: number) => void;
  /** Every rank goes on. */
  readonly onSaved: () => void;
}

const MARKER_BYTES = 4096;
const CAPACITY_BYTES = 2 ** 40;

function ringsOf({ nodes, zones }: FanOutWriteParameters): readonly ReplicaRing[] {
  const members = nodes.map((_, index) => ({
    node: `node-${index}`,
    zone: `zone-${index % zones}`,
    capacityBytes: CAPACITY_BYTES,
  }));
  return members.map((self) => new ReplicaRing(members, self));
}

export class SimulatedSave {
  readonly #parameters: FanOutWriteParameters;
  readonly #loop: FlowLoop;
  readonly #disks: readonly FlowDisk[];
  readonly #coordinator: FlowCoordinator;
  readonly #rings: readonly ReplicaRing[];
  /** What each node gave to others. */
  readonly #given: readonly CopyTraffic[];
  readonly #events: SaveEvents;
  readonly #piece: number;
  #files = 0;

  constructor(
    parameters: FanOutWriteParameters,
    parts: { loop: FlowLoop; disks: readonly FlowDisk[]; coordinator: FlowCoordinator; events: SaveEvents },
  ) {
    this.#parameters = parameters;
    this.#loop = parts.loop;
    this.#disks = parts.disks;
    this.#coordinator = parts.coordinator;
    this.#events = parts.events;
    this.#rings = ringsOf(parameters);
    const clock = { boottimeMs: () => parts.loop.nowMs, sleep: () => Promise.resolve() };
    this.#given = parameters.nodes.map(() => new CopyTraffic({ clock, isShortOfRoom: () => false }));
    this.#piece = pieceBytes(parameters);
  }

  /** All ranks begin now; when all are done the first one writes the marker. */
  begin(): void {
    const ranks = this.#parameters.nodes.flatMap((all, node) => all.map((sizes, rank) => ({ node, rank, sizes })));
    let left = ranks.length;
    for (const { node, rank, sizes } of ranks)
      this.#rank(node, `step/${node}-${rank}`, sizes, () => {
        left -= 1;
        if (left > 0) return;
        this.#events.onSaved();
        this.#file(0, 'step/.metadata', MARKER_BYTES, () => undefined);
      });
  }

  #rank(node: number, name: string, sizes: readonly number[], onDone: () => void): void {
    const [sizeBytes, ...rest] = sizes;
    if (sizeBytes === undefined) onDone();
    else this.#file(node, `${name}-${rest.length}`, sizeBytes, () => this.#rank(node, name, rest, onDone));
  }

  #file(writer: number, key: string, sizeBytes: number, onSynced: () => void): void {
    const content = (this.#files++).toString(16).padStart(32, '0') as ContentId;
    const begunRevision = this.#coordinator.revision;
    const file: SavedFile = { key, content, sizeBytes, writer, holders: [writer], begunRevision };
    const pieces = piecesOf(sizeBytes, this.#piece);
    const wanted = this.#parameters.replicas - 1;
    const given = this.#given[writer] as CopyTraffic;
    const ring = this.#rings[writer] as ReplicaRing;
    const group = ring.group(sizeBytes, (node) => given.loadOf(node)).slice(0, wanted);
    let isLocal = false;
    let sealed = 0;
    const look = (): void => {
      if (!isLocal || sealed < group.length) return;
      this.#coordinator.commit(writer, (revision) => this.#events.onReplicated(file, revision));
    };
    const feeds = group.map((node) => {
      const replica = Number(node.slice('node-'.length));
      const paid = given.owed(node, sizeBytes);
      return this.#feed({ writer, replica, pieces: pieces.length }, () => {
        paid();
        file.holders.push(replica);
        sealed += 1;
        look();
      });
    });
    let next = 0;
    const write = (): void => {
      const bytes = pieces[next];
      if (bytes === undefined) {
        onSynced();
        this.#coordinator.commit(writer, (revision) => {
          this.#events.onLocal(file, revision);
          isLocal = true;
          look();
        });
        return;
      }
      next += 1;
      (this.#disks[writer] as FlowDisk).write('own', bytes, () => {
        for (const feed of feeds) feed(bytes);
        write();
      });
    };
    write();
  }

  /** Gives pieces that are written to a replica, so many messages at once, and hears when it has synced all of them. */
  #feed(what: { writer: number; replica: number; pieces: number }, onSealed: () => void): (bytes: number) => void {
    const { writer, replica, pieces } = what;
    const { latencyMs } = this.#parameters;
    const waiting: number[] = [];
    let inFlight = 0;
    let stored = 0;
    const pump = (): void => {
      while (inFlight < stagePullsInFlightMax && waiting.length > 0) {
        const bytes = waiting.shift() as number;
        inFlight += 1;
        // the message that asks to pull, and the pull's own request
        this.#loop.after(2 * latencyMs, () =>
          this.#loop.transfer({ source: writer, reader: replica, bytes }, () => came(bytes)),
        );
      }
    };
    const came = (bytes: number): void => {
      inFlight -= 1;
      pump();
      (this.#disks[replica] as FlowDisk).write('others', bytes, () => {
        stored += 1;
        if (stored === pieces) this.#loop.after(2 * latencyMs, onSealed);
      });
    };
    return (bytes) => {
      waiting.push(bytes);
      pump();
    };
  }
}

/** A node's part in checkpoints, put together: their commits, what is left to do of them, and which of their objects are void. */
import type { Cluster } from '../cluster/cluster.ts';
import { slotOfDirectory } from '../cluster/slot.ts';
import { ForebayError } from '../core/errors.ts';
import { listKeysMax } from '../core/limits.ts';
import type { Coordinator } from '../io/coordinator.ts';
import type { Io } from '../io/io.ts';
import type { Emit } from '../observe/events.ts';
import type { Reader } from '../read/reader.ts';
import { type AttemptName, decideDeleteIntent } from '../write/checkpoint-decisions.ts';
import { CheckpointWork } from '../write/checkpoint-work.ts';
import { Checkpoints } from '../write/checkpoints.ts';
import type { OriginBase } from '../write/origin-base.ts';
import type { Records } from '../write/records.ts';
import type { StagedVolume } from '../write/staged-parts.ts';
import type { Writer } from '../write/writer.ts';

export interface NodeCheckpointsOptions {
  readonly cluster: Cluster;
  readonly coordinator: Coordinator;
  readonly records: Records;
  readonly base: OriginBase;
  readonly volumes: ReadonlyMap<string, StagedVolume>;
  readonly reader: Reader;
  readonly io: Pick<Io, 'clock' | 'random'>;
  readonly emit: Emit;
}

export interface NodeCheckpoints {
  readonly checkpoints: Checkpoints;
  /** Once the node is in its cluster. */
  start(writer: Writer): void;
  close(): void;
}

export function createNodeCheckpoints(options: NodeCheckpointsOptions): NodeCheckpoints {
  const { cluster, coordinator, records, volumes, reader, io, emit } = options;
  let work: CheckpointWork | undefined;
  async function* keysBelow(volume: string, prefix: string): AsyncGenerator<string> {
    let after: string | undefined;
    do {
      const limit = listKeysMax;
      const page = await reader.list({ volume, prefix, limit, ...(after !== undefined && { after }) });
      for (const { key } of page.objects) yield key;
      after = page.next;
    } while (after !== undefined);
  }
  const checkpoints = new Checkpoints({
    coordinator,
    records,
    clock: io.clock,
    random: io.random,
    copiesOf: (volume) => copiesOf(volumes, volume),
    isLive: (node) => cluster.member(node) !== undefined,
    keysBelow,
    putDelete: (volume, key, name) => putDelete(options, { volume, key, name }),
    onWork: () => work?.wake(),
  });
  return {
    checkpoints,
    start(writer) {
      work = new CheckpointWork({
        coordinator,
        records,
        checkpoints,
        writer,
        volumes: Array.from(volumes.keys()),
        isMine: (volume, name) =>
          cluster.placement.owner(slotOfDirectory(volume, `${name}/`))?.node === cluster.self && cluster.mayAct(),
        keysBelow,
        isOrdered: (volume) => isOrdered(volumes.get(volume)?.policy),
        clock: io.clock,
        emit,
      });
      void work.run();
    },
    close: () => work?.close(),
  };
}

/** Where followers of what cannot be drained go on, the marker of a checkpoint must not: it says that all is there. */
function isOrdered(policy: StagedVolume['policy'] | undefined): boolean {
  return policy?.drainOrder !== 'none' && policy?.onConflict !== 'skip';
}

function copiesOf(volumes: ReadonlyMap<string, StagedVolume>, name: string): number {
  const volume = volumes.get(name);
  if (volume === undefined)
    throw new ForebayError(
      'invalidArgument',
      `checkpoints are made in volumes whose writes are held by nodes first, and ${JSON.stringify(name)} is none of this node: set write = true and ack = "local" or "replicated"`,
    );
  const { replicas, onDegraded } = volume.policy;
  return onDegraded === 'local' ? 1 : replicas;
}

async function putDelete(
  { records, volumes, base, io }: NodeCheckpointsOptions,
  { volume, key, name }: { volume: string; key: string; name: AttemptName },
): Promise<void> {
  const origin = volumes.get(volume)?.origin;
  if (origin === undefined) return;
  const read = await records.read(volume, key);
  const { signal } = new AbortController();
  const known = await base.ask(origin, { volume, key }, { patient: false, signal }).settle();
  const wish = { modifiedMs: Math.floor(io.clock.wallMs()), begunRevision: read.asOf, origin: known };
  const record = decideDeleteIntent(read, wish, name);
  if (record !== undefined) await records.commit({ volume, key, expected: read.revision, record });
}

/**
 * One simulated checkpoint (DESIGN.md section 12): by the shipped policies, by an async copy of the same files, and what restoring
 * it takes. Sizes instead of bytes.
 */
import { FlowCoordinator } from './flow-coordinator.ts';
import { FlowDisk, FlowLoop } from './flow-loop.ts';
import { type FanOutWriteParameters, nodeBytes } from './parameters.ts';
import { SimulatedDrain } from './simulated-drain.ts';
import { type SavedFile, SimulatedSave } from './simulated-save.ts';

/** All from the first rank's start. */
export interface SavedTimes {
  /** Ranks go on: everything is written and synced where it was written. */
  readonly blockedMs: number;
  /** Every file is on as many nodes as wanted, and its record says so: the checkpoint is committed. */
  readonly safeMs: number;
  readonly durableMs: number;
}

export interface FanOutWriteFigures {
  readonly ours: SavedTimes;
  /** Safe only when it is durable. */
  readonly copy: SavedTimes;
  /** The least time in which all copies can be on disks and behind links: max(R·s/W, (R−1)·s/B) of the largest node. */
  readonly safeFloorMs: number;
  /** A node that has nothing gets what one node wrote: from replicas, from the origin. */
  readonly restoreNodeMs: number;
  readonly copyRestoreNodeMs: number;
  /** Every node gets what its neighbour wrote. */
  readonly restoreAllMs: number;
  readonly copyRestoreAllMs: number;
  readonly commits: number;
  readonly transactions: number;
  /** In the busiest second. */
  readonly commitsPerS: number;
}

function loopFor({ nodes, linkBytesPerS, originBytesPerS }: FanOutWriteParameters, spares = 0): FlowLoop {
  const link = linkBytesPerS / 1000;
  const origin = originBytesPerS / 1000;
  return new FlowLoop([
    ...nodes.map(() => ({ up: link, down: link })),
    { up: origin, down: origin },
    ...Array.from({ length: spares }, () => ({ up: link, down: link })),
  ]);
}

/** Local writes, replicas, the checkpoint's commit when all is safe, and then the drain. */
function simulateOurs(parameters: FanOutWriteParameters): {
  times: SavedTimes;
  files: readonly SavedFile[];
  coordinator: FlowCoordinator;
} {
  const loop = loopFor(parameters);
  const coordinator = new FlowCoordinator(loop, parameters.latencyMs);
  const disks = parameters.nodes.map(() => new FlowDisk(loop, parameters.diskBytesPerS / 1000));
  const files: SavedFile[] = [];
  const expected = parameters.nodes.flat(2).length + 1;
  let [blockedMs, safeMs, durableMs, durables] = [0, 0, 0, 0];
  const drain = new SimulatedDrain(parameters, {
    loop,
    coordinator,
    onDurable: () => {
      durables += 1;
      durableMs = loop.nowMs;
    },
  });
  /** One transaction makes all intents visible; folding each into its record is the keeper's, batch after batch. */
  const commitAll = (): void =>
    coordinator.commit(0, () => {
      safeMs = loop.nowMs;
      for (const file of files) coordinator.commit(0, (revision) => drain.committed(file, revision, true));
    });
  const save = new SimulatedSave(parameters, {
    loop,
    disks,
    coordinator,
    events: {
      onLocal: () => undefined,
      onReplicated: (file) => {
        files.push(file);
        if (files.length === expected) commitAll();
      },
      onSaved: () => {
        blockedMs = loop.nowMs;
      },
    },
  });
  save.begin();
  loop.run();
  if (durables !== expected) throw new Error(`${expected - durables} of ${expected} files never reach the origin`);
  return { times: { blockedMs, safeMs, durableMs }, files, coordinator };
}

/** Every node copies its files as soon as its ranks go on, in as many requests at once as fill its link. */
function simulateCopy(parameters: FanOutWriteParameters): SavedTimes {
  const loop = loopFor(parameters);
  const origin = parameters.nodes.length;
  const written = parameters.nodes.map((ranks) => (1000 * nodeBytes(ranks)) / parameters.diskBytesPerS);
  let durableMs = 0;
  for (const [node, ranks] of parameters.nodes.entries()) {
    const bytes = nodeBytes(ranks);
    if (bytes === 0) continue;
    loop.after((written[node] as number) + parameters.originMs, () =>
      loop.transfer({ source: node, reader: origin, bytes }, () => {
        durableMs = loop.nowMs + parameters.originMs;
      }),
    );
  }
  loop.run();
  return { blockedMs: Math.max(...written), safeMs: durableMs, durableMs };
}

/** Files that are read at once on a node. */
const READS_MAX = 8;

interface Wanted {
  readonly reader: number;
  readonly file: SavedFile;
  readonly sources: readonly number[];
}

/** Each reader gets its files, a few at once, each in equal shares from all of its sources. */
function simulateReads(parameters: FanOutWriteParameters, wanted: readonly Wanted[], spares: number): number {
  const loop = loopFor(parameters, spares);
  const readers = Map.groupBy(wanted, ({ reader }) => reader);
  let lastMs = 0;
  for (const files of readers.values()) {
    const left = files.values();
    const next = (): void => {
      const file = left.next().value;
      if (file === undefined) return;
      let open = file.sources.length;
      const bytes = file.file.sizeBytes / open;
      for (const source of file.sources)
        loop.transfer({ source, reader: file.reader, bytes }, () => {
          lastMs = loop.nowMs;
          open -= 1;
          if (open === 0) next();
        });
    };
    for (let i = 0; i < Math.min(READS_MAX, files.length); i++) loop.after(2 * parameters.latencyMs, next);
  }
  loop.run();
  return lastMs;
}

export function simulateFanOutWrite(parameters: FanOutWriteParameters): FanOutWriteFigures {
  const { nodes, replicas, linkBytesPerS, diskBytesPerS } = parameters;
  const { times, files, coordinator } = simulateOurs(parameters);
  const origin = nodes.length;
  const shards = files.filter(({ sizeBytes, writer }) => sizeBytes > 0 && (nodes[writer]?.length ?? 0) > 0);
  const largest = nodes.findIndex((ranks) => nodeBytes(ranks) === Math.max(...nodes.map(nodeBytes)));
  const spare = origin + 1;
  const lost = shards.filter(({ writer }) => writer === largest);
  const fromReplicas = lost.map((file) => ({
    reader: spare,
    file,
    sources: file.holders.filter((node) => node !== largest),
  }));
  const shifted = shards.map((file) => ({ reader: (file.writer + 1) % nodes.length, file, sources: file.holders }));
  const elsewhere = shifted.filter(({ reader, sources }) => !sources.includes(reader));
  const fromOrigin = <W extends Wanted>(wanted: readonly W[]) => wanted.map((one) => ({ ...one, sources: [origin] }));
  const most = Math.max(...nodes.map(nodeBytes));
  return {
    ours: times,
    copy: simulateCopy(parameters),
    safeFloorMs: 1000 * Math.max((replicas * most) / diskBytesPerS, ((replicas - 1) * most) / linkBytesPerS),
    restoreNodeMs: simulateReads(parameters, fromReplicas, 1),
    copyRestoreNodeMs: simulateReads(parameters, fromOrigin(fromReplicas), 1),
    restoreAllMs: simulateReads(parameters, elsewhere, 0),
    copyRestoreAllMs: simulateReads(parameters, fromOrigin(shifted), 0),
    commits: coordinator.records,
    transactions: coordinator.transactions,
    commitsPerS: coordinator.peakPerS,
  };
}

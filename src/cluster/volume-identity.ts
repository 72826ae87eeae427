/**
 * What a volume is, as the whole cluster must have it: its origin, kind and chunk size. The first node writes it to the
 * coordinator; others must match, for chunks of another size or origin would be mixed up. The rest of a volume's
 * configuration is each node's own.
 */
import { ForebayError, isForebayError } from '../core/errors.ts';
import type { Coordinator, TransactionResult } from '../io/coordinator.ts';

export interface VolumeIdentity {
  readonly name: string;
  readonly origin: string;
  readonly kind: string;
  readonly chunkSizeBytes: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Rejects with `clusterMismatch`, which has both definitions, or as the coordinator does. */
export async function checkVolumes(coordinator: Coordinator, volumes: readonly VolumeIdentity[]): Promise<void> {
  await Promise.all(volumes.map((volume) => checkVolume(coordinator, volume)));
}

/** How often an answer that was lost is asked for again. */
const AGAIN_MAX = 3;

async function checkVolume(coordinator: Coordinator, volume: VolumeIdentity, tries = 0): Promise<void> {
  const { name, origin, kind, chunkSizeBytes } = volume;
  const key = `volumes/${name}`;
  const value = encoder.encode(JSON.stringify({ origin, kind, chunkSizeBytes }));
  let result: TransactionResult;
  try {
    result = await coordinator.transaction({
      compares: [{ key, target: 'createRevision', equals: 0 }],
      apply: [{ put: key, value }],
      otherwise: [{ read: key }],
    });
  } catch (error) {
    // It is there now, or it can be tried again.
    if (!isForebayError(error, 'coordinatorUncertain') || tries >= AGAIN_MAX) throw error;
    return await checkVolume(coordinator, volume, tries + 1);
  }
  if (result.succeeded) return;
  const found = result.reads[0];
  const theirs = found ? decoder.decode(found.value) : 'nothing';
  if (isSame(theirs, volume)) return;
  throw new ForebayError(
    'clusterMismatch',
    `volume ${name} is ${shown(theirs)} in the cluster, and ${JSON.stringify({ origin, kind, chunkSizeBytes })} here`,
  );
}

function isSame(theirs: string, { origin, kind, chunkSizeBytes }: VolumeIdentity): boolean {
  try {
    const found = JSON.parse(theirs) as Partial<VolumeIdentity> | null;
    return found?.origin === origin && found.kind === kind && found.chunkSizeBytes === chunkSizeBytes;
  } catch {
    return false;
  }
}

const SHOWN_MAX = 1000;

function shown(text: string): string {
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text;
}

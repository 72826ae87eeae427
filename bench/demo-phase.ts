/** One line of the demo's table: several readers read the same files at once, each from its own place. */

import type { DemoInput } from './demo-input.ts';
import { HashingReader } from './hashing-reader.ts';
import { countRequests, type OriginCounts } from './origin-log.ts';
import type { OriginProcess } from './origin-process.ts';

export interface Phase {
  readonly name: string;
  readonly seconds: number;
  /** Received by the readers that finished. */
  readonly bytes: number;
  readonly origin: OriginCounts;
  /** Files whose SHA-256 was right. */
  readonly verified: number;
  /** Readers that finished. */
  readonly finished: number;
}

/** A place to read from, and the name below which its files are. */
export interface Place {
  readonly endpoint: string;
  /** Its node died: its reader may fail. */
  readonly mayFail?: () => boolean;
}

export interface PhaseOptions {
  readonly bucket: string;
  /** Before each key. */
  readonly prefix?: string;
  readonly inputs: readonly DemoInput[];
  readonly origin: OriginProcess;
  /** Bytes of each place so far, again and again. */
  readonly onBytes: (bytes: readonly number[]) => void;
}

/** Rejects when a reader fails whose place may not, or gets a wrong byte. */
export async function runPhase(name: string, places: readonly Place[], options: PhaseOptions): Promise<Phase> {
  const { bucket, prefix = '', inputs, origin, onBytes } = options;
  await origin.reset();
  const came = places.map(() => 0);
  const readAll = async (place: Place, index: number): Promise<boolean> => {
    const reader = new HashingReader(place.endpoint);
    try {
      for (const { key, sha256 } of inputs) {
        const got = await reader.read(bucket, `${prefix}${key}`, (bytes) => {
          came[index] = (came[index] as number) + bytes;
          onBytes(came);
        });
        if (got !== sha256) throw new WrongBytes(`${name}: ${key} has wrong bytes`);
      }
      return true;
    } catch (error) {
      if (place.mayFail?.() && !(error instanceof WrongBytes)) return false;
      throw error;
    } finally {
      reader.close();
    }
  };
  const fromMs = performance.now();
  const finished = (await Promise.all(places.map(readAll))).filter(Boolean).length;
  const seconds = (performance.now() - fromMs) / 1000;
  return {
    name,
    seconds,
    bytes: finished * inputs.reduce((sum, input) => sum + input.sizeBytes, 0),
    origin: countRequests(await origin.requests()),
    verified: finished * inputs.length,
    finished,
  };
}

class WrongBytes extends Error {
  override name = 'WrongBytes';
}

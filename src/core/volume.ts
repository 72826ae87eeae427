/** Who has a write when it is acknowledged: synced here, whole on as many nodes as the volume's `replicas`, or the origin. */
export type Level = 'local' | 'replicated' | 'origin';
export const LEVELS = ['local', 'replicated', 'origin'] as const satisfies readonly Level[];

/** How writes are taken before the origin has them (DESIGN.md section 8). */
export interface WritePolicy {
  /** What a writer waits for, unless its request says otherwise. */
  readonly ack: Level;
  /** Copies pursued of what is not yet in the origin, the writer's counted. */
  readonly replicas: number;
  /** With fewer nodes than `replicas`: wait, then fail; wait for the origin instead; or take what there is, visibly. */
  readonly onDegraded: 'wait' | 'origin' | 'local';
  /** Without room for a write: wait (bounded), write to the origin at once, or fail at once. */
  readonly onFull: 'block' | 'write-through' | 'fail';
  /** Objects behind one that somebody else changed at the origin: held back, or let through. */
  readonly onConflict: 'hold' | 'skip';
  /** At an origin that keeps no conditions: drain nevertheless, where changes by others may be overwritten unseen. */
  readonly conflicts?: 'unchecked';
  /** Whether the origin sees a directory's objects in the order of S-7. */
  readonly drainOrder: 'directory' | 'none';
}

/** How values of a kv volume are kept (DESIGN.md section 9). */
export interface KvPolicy {
  /** Of values whose put names none; Infinity: until evicted. */
  readonly ttlMs: number;
  /** Of each node's cache, 0 to 1. */
  readonly share: number;
  /** The endings of keys that are parts of one entry: LMCache's `metadata` and `kv_bytes`. Empty: every key is one. */
  readonly suffixes: readonly string[];
  /** Its number for SELECT at the RESP door. */
  readonly respDb?: number;
}

/** A volume: a named mapping to an origin with its policies. Parsed from configuration in `node/config.ts`. */
export interface Volume {
  readonly name: string;
  /** The origin's URL as configured, without secrets: `az://`, `s3://`, `file:///`, `memory:`, `none` (kv). */
  readonly origin: string;
  readonly write: boolean;
  /** How old a remembered fact may be, in milliseconds: 0 = always ask, Infinity = never. */
  readonly revalidateMs: number;
  /** How old a fact may be when the origin cannot be asked, in milliseconds. */
  readonly staleIfErrorMs: number;
  readonly chunkSizeBytes: number;
  /** `always` re-reads and checks every block before it is sent, which gives up zero copy. */
  readonly verify: 'arrival' | 'always';
  /** What a read does that cannot ask whether something newer was written: mark what it serves as stale (absent), or fail. */
  readonly onPartition?: 'stale' | 'refuse';
  /** Absent: every write waits for the origin, and nothing of it is staged here. */
  readonly writes?: WritePolicy;
  /** Values without an origin; absent: objects. */
  readonly kv?: KvPolicy;
}

/** Bucket-like names: 2–63 (tools of S3 may insist on 3) of a–z, 0–9, `-`, `.`; begins and ends with a letter or digit. */
export const VOLUME_NAME = /^[a-z0-9][a-z0-9.-]{0,61}[a-z0-9]$/;

/** A volume: a named mapping to an origin with its policies. Parsed from configuration in `node/config.ts`. */
export interface Volume {
  readonly name: string;
  /** The origin's URL as configured, without secrets: `az://`, `s3://`, `file:///`, `memory:`. */
  readonly origin: string;
  readonly write: boolean;
  /** How old a remembered fact may be, in milliseconds: 0 = always ask, Infinity = never. */
  readonly revalidateMs: number;
  /** How old a fact may be when the origin cannot be asked, in milliseconds. */
  readonly staleIfErrorMs: number;
  readonly chunkSizeBytes: number;
  /** `always` re-reads and checks every block before it is sent, which gives up zero copy. */
  readonly verify: 'arrival' | 'always';
}

/** Bucket-like names: 3–63 of a–z, 0–9, `-`, `.`; begins and ends with a letter or digit. */
export const VOLUME_NAME = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

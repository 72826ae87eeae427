/** What a job is told and answers: the training process of a host, with its ranks, and the tools beside it that copy and restore. */

export interface JobFile {
  /** Below the directory or prefix that it is written to. */
  readonly name: string;
  /** Names the bytes (`pattern.ts`). */
  readonly seed: number;
  readonly sizeBytes: number;
}

/** What `x-forebay-ack` may say. */
export type AckLevel = 'local' | 'replicated' | 'origin';

export interface CheckpointAttempt {
  readonly name: string;
  readonly attempt: string;
}

export type SaveTarget =
  /** Plain files, each synced. */
  | { readonly kind: 'files'; readonly directory: string }
  /** One PUT per file at an S3 door; into a checkpoint where one was begun. */
  | {
      readonly kind: 's3';
      readonly host: string;
      readonly prefix: string;
      readonly ack: AckLevel;
      readonly checkpoint?: CheckpointAttempt;
    }
  /** Straight to the origin, large files in parts that are sent in parallel. */
  | { readonly kind: 'origin'; readonly host: string; readonly prefix: string };

export type JobCommand =
  /** Every rank writes its files one after the other, all ranks at once; answers with Spell. */
  | { readonly do: 'save'; readonly ranks: readonly (readonly JobFile[])[]; readonly to: SaveTarget }
  /** Copies a local file to the origin in the background, all of them together in at most `UPLOADS` requests at once; answers with Spell. */
  | {
      readonly do: 'copy';
      readonly directory: string;
      readonly file: JobFile;
      readonly host: string;
      readonly prefix: string;
    }
  /** Reads files at an S3 door or the origin, `parallel` at once, and compares every byte; answers with Spell. */
  | {
      readonly do: 'restore';
      readonly host: string;
      readonly prefix: string;
      readonly files: readonly JobFile[];
      readonly parallel: number;
    }
  /** Whether there is an object, by HEAD. */
  | { readonly do: 'exists'; readonly host: string; readonly path: string }
  /** HEADs one after the other, round the paths; answers with the milliseconds that each took. */
  | { readonly do: 'open'; readonly host: string; readonly paths: readonly string[]; readonly count: number }
  /** Small PUTs, `parallel` at once, each of a key of its own; answers with Spell. */
  | {
      readonly do: 'put';
      readonly host: string;
      readonly prefix: string;
      readonly count: number;
      readonly parallel: number;
      readonly sizeBytes: number;
      readonly ack: AckLevel;
    };

/** From when to when, in milliseconds of CLOCK_MONOTONIC. */
export interface Spell {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Uploads at once of the tools that copy to the origin, on each node. */
export const UPLOADS = 16;

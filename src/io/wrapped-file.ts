/** Files in wrappers: who needs what is inside (a descriptor) finds it, and can tell the wrapper what it saw. */
import type { File } from './io.ts';

export const INNER = Symbol('inner file');
export const STUCK = Symbol('report a stuck operation');

export interface WrappedFile extends File {
  readonly [INNER]: File;
  /** Takes note that an operation made around the wrapper does not end; `settled` resolves when it does. */
  [STUCK](operation: string, settled: Promise<unknown>): void;
}

function isWrapped(file: File): file is WrappedFile {
  return INNER in file;
}

export function unwrapFile(file: File): File {
  let inner = file;
  while (isWrapped(inner)) inner = inner[INNER];
  return inner;
}

/** Says that the disk under `file` hangs in an operation that did not go through `file` (a pump's sendfile). */
export function reportStuck(file: File, operation: string, settled: Promise<unknown>): void {
  if (isWrapped(file)) file[STUCK](operation, settled);
}

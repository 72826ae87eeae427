/**
 * Files in wrappers. Who moves bytes around the wrapper (a pump's sendfile takes the descriptor inside) finds what is
 * inside, asks whether the disk is ejected, and reports an operation that hangs.
 */
import type { File } from './io.ts';

export const INNER = Symbol('inner file');
export const EJECTED = Symbol('the disk is ejected');
export const STUCK = Symbol('report a stuck operation');

export interface WrappedFile extends File {
  readonly [INNER]: File;
  readonly [EJECTED]: boolean;
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

/** The disk under `file` does not answer at present. */
export function isEjected(file: File): boolean {
  return isWrapped(file) && file[EJECTED];
}

/**
 * Says that the disk under `file` hangs in an operation that did not go through `file`, which ejects it until `settled`
 * is fulfilled or the disk answers otherwise.
 */
export function reportStuck(file: File, operation: string, settled: Promise<unknown>): void {
  if (isWrapped(file)) file[STUCK](operation, settled);
}

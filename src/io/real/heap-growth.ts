/** How far V8 lets garbage grow. */
import { setFlagsFromString } from 'node:v8';

const GROWTH_PERCENT = 100;

/**
 * Lets the heap double before its garbage is collected. V8 counts the buffers of what was received as heap, and a process that
 * makes little else is given 8 MiB until the next full collection: at 30 MB/s from an origin that is two a second, each marks all
 * 27 MiB of a daemon's objects, and together they took a third of a fan-out read's CPU time. To be called once, by a daemon.
 */
export function letHeapGrow(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
}

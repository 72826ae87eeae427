/** How far V8 lets garbage grow. */
import { setFlagsFromString } from 'node:v8';

const GROWTH_PERCENT = 300;

/**
 * Lets garbage grow to three times the heap's objects, some 70 MiB, before it is collected. V8 counts the buffers of what was received as heap, and a process that
 * makes little else is given 8 MiB until the next full collection: at 30 MB/s from an origin that is two a second, each marks all
 * 27 MiB of a daemon's objects, and together they took a third of a fan-out read's CPU time. Each value that
 * is put is such a buffer, too: at twice the heap full collections took half of the CPU time of putting values of 64 KiB. To be called once, by a daemon.
 */
export function letHeapGrow(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
}

import type { Coordinator } from '../coordinator.ts';
import type { Clock, Random } from '../io.ts';
import { openEmbeddedCoordinator } from './embedded-coordinator.ts';
import type { FfiChoice } from './libc.ts';

/** Interim: replaced by the real one. */
export async function openCoordinator(
  url: string,
  options: { cluster: string; clock: Clock; random: Random; ffi?: FfiChoice; [name: string]: unknown },
): Promise<Coordinator> {
  return openEmbeddedCoordinator({ path: url.slice('embedded:'.length), clock: options.clock });
}

/** The io of a real node. */

import { diskDeadlineMs } from '../../core/limits.ts';
import type { Emit } from '../../observe/events.ts';
import { type DeadlineDisk, withDeadline } from '../deadline-disk.ts';
import type { Io } from '../io.ts';
import { createRealClock } from './clock.ts';
import { createRealDisk } from './disk.ts';
import { watchDirectory } from './inotify.ts';
import { type FfiChoice, loadLibc } from './libc.ts';
import { createRealNetwork } from './network.ts';
import { createRealRandom } from './random.ts';

export interface RealIoOptions {
  /** The cache directory: names the disk in events, and is where the probe of an ejected disk writes. */
  readonly cacheDirectory: string;
  readonly emit: Emit;
  /** `off` forces the portable paths. */
  readonly ffi?: FfiChoice;
}

export interface RealIo extends Io {
  readonly disk: DeadlineDisk;
  /** Why there is no FFI; `undefined` where there is. */
  readonly ffiMissing: string | undefined;
  /** Ends pumps and disk threads; what is being sent fails. */
  close(): Promise<void>;
}

export function createRealIo({ cacheDirectory, emit, ffi = 'auto' }: RealIoOptions): RealIo {
  const libc = loadLibc(ffi);
  const clock = createRealClock({ ffi });
  const inner = createRealDisk({ ffi });
  const disk = withDeadline(inner, { clock, deadlineMs: diskDeadlineMs, path: cacheDirectory, emit });
  const network = createRealNetwork({ clock, ffi });
  return {
    clock,
    random: createRealRandom(),
    disk,
    network,
    ...(libc.available && { watchDirectory }),
    ffiMissing: libc.available ? undefined : libc.reason,
    async close() {
      disk.close();
      await network.close();
      await inner.close();
    },
  };
}

/** Watches directories by inotify, in a thread of its own: it also walks them, and a disk that hangs holds only that thread. */
import { Worker } from 'node:worker_threads';
import { DiskError } from '../io.ts';
import type { DirectoryWatch, WatchHint } from '../watch.ts';

export interface InotifyWorkerData {
  readonly directory: string;
  /** Element 0 becomes 1 when the watch shall end. */
  readonly stopping: SharedArrayBuffer;
}

export type InotifyReport =
  | { readonly kind: 'watching' }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }
  | { readonly kind: 'hints'; readonly hints: readonly WatchHint[] };

export function watchDirectory(
  directory: string,
  onHints: (hints: readonly WatchHint[]) => void,
): Promise<DirectoryWatch> {
  const data: InotifyWorkerData = { directory, stopping: new SharedArrayBuffer(4) };
  const worker = new Worker(new URL('./inotify-worker.ts', import.meta.url), {
    name: 'watch',
    workerData: data,
    execArgv: ['--disable-warning=ExperimentalWarning'],
    resourceLimits: { maxYoungGenerationSizeMb: 2 },
  });
  let closed = false;
  const close = () => {
    closed = true;
    Atomics.store(new Int32Array(data.stopping), 0, 1);
  };
  return new Promise((resolve, reject) => {
    worker.on('message', (report: InotifyReport) => {
      if (report.kind === 'watching') {
        worker.unref();
        resolve({ close });
      } else if (report.kind === 'failed') {
        reject(new DiskError(report.code, report.message));
      } else if (!closed) {
        onHints(report.hints);
      }
    });
    const lost = (reason: string) => {
      reject(new DiskError('EIO', `the watch of ${directory} ended: ${reason}`));
      if (!closed) onHints([{ kind: 'lost', reason }]);
    };
    worker.on('error', (error: Error) => lost(error.message));
    worker.on('exit', () => lost('its thread ended'));
  });
}

/** The thread of the embedded coordinator: serves requests, renews sessions while the main loop turns, looks for changes. */
import { parentPort, workerData } from 'node:worker_threads';
import { ForebayError } from '../../core/errors.ts';
import { coordinatorPollMs } from '../../core/limits.ts';
import { createRealClock } from './clock.ts';
import type { EmbeddedWorkerData, FromEmbeddedWorker, ToEmbeddedWorker } from './embedded-request.ts';
import { EmbeddedThread } from './embedded-thread.ts';
import { Renewals } from './renewals.ts';

const FILE_CHECK_MS = 1000;

function run(port: NonNullable<typeof parentPort>): void {
  const { path, bootId, ffi, pulse } = workerData as EmbeddedWorkerData;
  const clock = createRealClock({ ffi });
  const post = (message: FromEmbeddedWorker) => port.postMessage(message);
  let thread: EmbeddedThread;
  try {
    thread = new EmbeddedThread({ path, clock, bootId, post });
  } catch (error) {
    if (!(error instanceof ForebayError)) throw error;
    post({ opened: { code: error.code, message: error.message } });
    return;
  }
  const renewals = new Renewals({ pulse, clock, renew: (id) => thread.renew(id), report: post });
  const polling = setInterval(() => thread.poll(), coordinatorPollMs);
  const checking = setInterval(() => thread.checkFile(), FILE_CHECK_MS);
  port.on('message', (message: ToEmbeddedWorker) => {
    if (message === 'close') {
      clearInterval(polling);
      clearInterval(checking);
      renewals.close();
      thread.close();
      port.close();
      return;
    }
    const { request } = message;
    if (request.op === 'end') renewals.forget(request.id);
    thread.take(message);
    if (request.op !== 'session') return;
    // The term counts from before the request was served.
    renewals.keep({ id: request.id, ttlMs: request.ttlMs, sentMs: clock.boottimeMs() });
  });
  post({ opened: undefined });
}

if (parentPort) run(parentPort);

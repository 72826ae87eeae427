/**
 * A thread of a real disk: one request at a time, each a synchronous call, so that a disk that hangs holds this thread
 * and nothing else. Sleeps on a shared counter instead of an event loop, which halves the round trip. Imports as little
 * as possible: each worker's memory counts against `idleRssMiB`.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { createDiskCalls } from './disk-calls.ts';
import type { DiskRequest, DiskWorkerData } from './disk-request.ts';

const data = workerData as DiskWorkerData;
const bell = new Int32Array(data.bell);
const port = parentPort;
const calls = createDiskCalls(data);

if (port) {
  // Where there is a compile cache, the next thread takes this one's code from it: half the memory and the start.
  process.getBuiltinModule('node:module').flushCompileCache();
  for (;;) {
    const heard = Atomics.load(bell, 0);
    const received = receiveMessageOnPort(port) as { message: DiskRequest } | undefined;
    if (received === undefined) {
      Atomics.wait(bell, 0, heard);
      continue;
    }
    const reply = calls(received.message);
    const large = 'value' in reply && reply.value instanceof Uint8Array ? [reply.value.buffer as ArrayBuffer] : [];
    port.postMessage(reply, large);
  }
}

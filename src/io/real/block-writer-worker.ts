/**
 * The disk's half of a puller: writes blocks that the puller has received and checked, one after the other, while the
 * puller receives the next. A disk that hangs holds this thread; the puller goes on to say so.
 */
import { workerData } from 'node:worker_threads';
import { loadLibc } from './libc.ts';
import { loadSockets } from './libc-sockets.ts';
import { CURRENT, PullerMemory, type PullerWorkerData, WRITES } from './puller-memory.ts';
import { WriteRing } from './write-ring.ts';

function run(data: PullerWorkerData): void {
  const libc = loadLibc();
  const sockets = loadSockets();
  if (!libc.available || !sockets) throw new Error('a writer needs FFI');
  if (data.nice > 0) libc.lowerPriority(data.nice);
  const { words } = new PullerMemory(data.memory);
  const ring = new WriteRing(data.ring);
  for (let write = ring.take(); write; write = ring.take()) {
    Atomics.store(words, CURRENT, write.slot);
    Atomics.add(words, WRITES, 1);
    const result = sockets.writeAt(write.fileFd, write.pointer, write.length, write.position);
    Atomics.store(words, CURRENT, -1);
    if (ring.finish(result)) libc.signalEvent(data.eventFd);
  }
}

// Where there is a compile cache, the next thread takes this one's code from it: half the memory and the start.
process.getBuiltinModule('node:module').flushCompileCache();
run(workerData as PullerWorkerData);

/**
 * A pump: sends ranges of files down sockets with sendfile, many jobs in turn, and waits for sockets that take no more.
 * Never returns to an event loop: without jobs it sleeps on shared memory, with jobs in the kernel's poll.
 */
import { constants } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { loadLibc } from './libc.ts';
import {
  CALLS,
  CURRENT,
  DONE,
  FILE_FD,
  GIVEN,
  JOBS_MAX,
  JobTable,
  NOBODY,
  OWNER,
  ownedBy,
  POLLING,
  PROGRESS,
  PumpMemory,
  type PumpWorkerData,
  RESULT,
  SENT,
  SHORT,
  SOCKET_FD,
  STOPPING,
  TICKET,
  TOLD,
} from './pump-memory.ts';

/** One call of sendfile for a job that is alone, and for one among others that are ready. */
const PIECE_ALONE_BYTES = 2 << 20;
const PIECE_SHARED_BYTES = 1 << 20;
/** Bounds how long the end of the process may wait for this thread. */
const POLL_MS = 250;
const EVENT_TOKEN = -1;
/** Beside results: the job may go on at once, or when its socket takes more. */
const GO_ON = -2;
const WAIT = -3;

const data = workerData as PumpWorkerData;
const jobs = new JobTable(data.jobs);
const pump = new PumpMemory(data.memory);
const mine = ownedBy(data.pump);
const { EAGAIN, EINTR } = constants.errno;

/** Jobs whose sockets are watched, for they once took no more: slot → ticket. */
const watched = new Map<number, number>();
/** Slots that may go on, and whether a slot is among them. */
let ready: number[] = [];
const queued = new Uint8Array(JOBS_MAX);
const tokens = new Int32Array(256);
let taken = 0;

function queue(slot: number): void {
  if (queued[slot]) return;
  queued[slot] = 1;
  ready.push(slot);
}

function takeGiven(): void {
  const given = Atomics.load(pump.words, GIVEN);
  for (; taken !== given; taken = (taken + 1) | 0) queue(pump.at(GIVEN, taken));
}

function run(): void {
  const libc = loadLibc();
  if (!libc.available) throw new Error(`a pump needs FFI: ${libc.reason}`);
  const pollFd = libc.pollCreate();
  libc.pollAdd(pollFd, data.eventFd, { token: EVENT_TOKEN, for: 'read' });

  const finish = (slot: number, result: number): void => {
    if (watched.delete(slot)) libc.pollRemove(pollFd, jobs.get(slot, SOCKET_FD));
    jobs.set(slot, RESULT, result);
    jobs.set(slot, OWNER, NOBODY);
    pump.put(DONE, slot);
    if (Atomics.exchange(pump.words, TOLD, 1) === 0) parentPort?.postMessage(0);
  };

  /** Watches a job's socket, which took no more. */
  const watch = (slot: number): number => {
    const ticket = jobs.get(slot, TICKET);
    if (watched.get(slot) === ticket) return WAIT;
    const added = libc.pollAdd(pollFd, jobs.get(slot, SOCKET_FD), { token: slot, for: 'write' });
    if (added < 0) return -added;
    watched.set(slot, ticket);
    return WAIT;
  };

  /** What the return value of sendfile means for a job: a result, or how it goes on. */
  const outcome = (slot: number, sent: number): number => {
    if (sent > 0) {
      const position = jobs.position(slot) + sent;
      jobs.setPosition(slot, position);
      jobs.set(slot, PROGRESS, jobs.get(slot, PROGRESS) + 1);
      return position === jobs.end(slot) ? SENT : GO_ON;
    }
    if (sent === 0) return SHORT;
    if (sent === -EINTR) return GO_ON;
    return sent === -EAGAIN ? watch(slot) : -sent;
  };

  /** One call for one job. */
  const step = (slot: number, pieceBytes: number): void => {
    queued[slot] = 0;
    if (!jobs.hand(slot, mine, mine + 1)) return;
    const position = jobs.position(slot);
    const length = Math.min(pieceBytes, jobs.end(slot) - position);
    Atomics.store(pump.words, CURRENT, slot);
    Atomics.add(pump.words, CALLS, 1);
    const sent = libc.sendfile(jobs.get(slot, SOCKET_FD), jobs.get(slot, FILE_FD), position, length);
    Atomics.store(pump.words, CURRENT, -1);
    const next = outcome(slot, sent);
    if (next !== GO_ON && next !== WAIT) {
      finish(slot, next);
    } else {
      jobs.set(slot, OWNER, mine);
      if (next === GO_ON) queue(slot);
    }
  };

  const poll = (timeoutMs: number): void => {
    const count = libc.pollWait(pollFd, tokens, timeoutMs);
    for (let index = 0; index < count; index++) {
      const token = tokens[index] as number;
      if (token === EVENT_TOKEN) libc.clearEvent(data.eventFd);
      else queue(token);
    }
    if (count <= 0 && timeoutMs > 0) forgetTaken();
  };

  /** Sleeps until a job comes or a socket takes more. */
  const wait = (): void => {
    if (watched.size === 0) {
      Atomics.wait(pump.words, GIVEN, taken);
      return;
    }
    Atomics.store(pump.words, POLLING, 1);
    poll(Atomics.load(pump.words, GIVEN) === taken ? POLL_MS : 0);
    Atomics.store(pump.words, POLLING, 0);
  };

  while (Atomics.load(pump.words, STOPPING) === 0) {
    takeGiven();
    if (ready.length === 0) {
      wait();
      continue;
    }
    if (watched.size > ready.length) poll(0);
    const round = ready;
    ready = [];
    const pieceBytes = round.length === 1 ? PIECE_ALONE_BYTES : PIECE_SHARED_BYTES;
    for (const slot of round) step(slot, pieceBytes);
  }
  libc.closeDescriptor(pollFd);
}

/** Jobs that were given to another pump while this one hung. */
function forgetTaken(): void {
  for (const [slot, ticket] of watched)
    if (jobs.get(slot, OWNER) !== mine || jobs.get(slot, TICKET) !== ticket) watched.delete(slot);
}

// Where there is a compile cache, the next thread takes this one's code from it: half the memory and the start.
process.getBuiltinModule('node:module').flushCompileCache();
run();

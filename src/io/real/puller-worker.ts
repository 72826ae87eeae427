/**
 * A puller: receives many answers in turn from non-blocking sockets, so that a holder that hangs keeps nobody else
 * waiting; its writer (`block-writer-worker.ts`) puts them on the disk meanwhile. Without pulls it sleeps on shared memory, with pulls in the kernel's poll.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { BLOCK_SIZE_BYTES } from '../../core/chunk.ts';
import { peerHeadMaxBytes } from '../../core/limits.ts';
import { BodyJob } from './body-job.ts';
import { type LibcCalls, loadLibc } from './libc.ts';
import { loadSockets, type SocketCalls } from './libc-sockets.ts';
import { PullerJob } from './puller-job.ts';
import {
  GIVEN,
  type JobStart,
  PAUSED,
  POLLING,
  type PulledBlock,
  PullerMemory,
  type PullerWorkerData,
  type PullNews,
  STOPPING,
} from './puller-memory.ts';
import { BlockWrites } from './puller-writes.ts';
import { BlockBuffers, type JobNext, type PullerTools, type ThreadJob } from './thread-job.ts';
import { WriteRing } from './write-ring.ts';

/** Blocks in one turn of a pull that is alone, and of one among others. */
const TURN_ALONE_BLOCKS = 4;
const TURN_SHARED_BLOCKS = 1;
/** How often sockets are looked at that have not woken the puller, for fewer bytes than it asked to be woken for. */
const LOOK_MS = 250;
const LOOK_MIN_MS = 20;
/** News of blocks that come fast is gathered for this long: a message costs as much as receiving a tenth of a block. */
const GATHER_MS = 2;
/** A look that comes this late says that the process stood still, not the holders. */
const LATE_MS = 1000;
const EVENT_TOKEN = -1;

const data = workerData as PullerWorkerData;
const memory = new PullerMemory(data.memory);
const { words } = memory;
const tokens = new Int32Array(256);

class Puller {
  readonly #libc: LibcCalls;
  readonly #tools: PullerTools;
  readonly #pollFd: number;
  readonly #jobs = new Map<number, ThreadJob>();
  /** Pulls that wait for their reports to settle, and for the writer. */
  readonly #waitForRoom = new Set<ThreadJob>();
  readonly #waitForDisk = new Set<ThreadJob>();
  readonly #writes = new BlockWrites(new WriteRing(data.ring));
  /** Slots whose sockets are watched, and for what. */
  readonly #watched = new Map<number, 'read' | 'write'>();
  #ready = new Set<ThreadJob>();
  /** Blocks that came and were not told, by their pulls, and since when. */
  readonly #untold = new Map<ThreadJob, PulledBlock[]>();
  #untoldMs = 0;
  #heard = 0;
  #lookedMs = 0;
  #lookEveryMs = LOOK_MS;

  constructor(libc: LibcCalls, sockets: SocketCalls) {
    this.#libc = libc;
    this.#tools = {
      libc,
      sockets,
      memory,
      scratch: sockets.allocate(peerHeadMaxBytes),
      blocks: new BlockBuffers(sockets, BLOCK_SIZE_BYTES),
      writes: this.#writes,
      report: (job, block) => this.#gather(job, block),
    };
    this.#pollFd = libc.pollCreate();
    libc.pollAdd(this.#pollFd, data.eventFd, { token: EVENT_TOKEN, for: 'read' });
  }

  run(): void {
    while (Atomics.load(words, STOPPING) === 0) {
      this.#hear();
      this.#collect();
      this.#look();
      if (this.#ready.size === 0) {
        this.#wait();
        continue;
      }
      if (this.#watched.size > this.#ready.size) this.#poll(0);
      const round = this.#ready;
      this.#ready = new Set();
      const nowMs = this.#libc.boottimeMs();
      if (this.#untold.size > 0 && nowMs - this.#untoldMs >= GATHER_MS) this.#tellAll();
      const blocksMax = round.size === 1 ? TURN_ALONE_BLOCKS : TURN_SHARED_BLOCKS;
      for (const job of round) this.#step(job, nowMs, blocksMax);
    }
    this.#libc.closeDescriptor(this.#pollFd);
  }

  /** Takes new pulls, and pulls that may go on. */
  #hear(): void {
    const given = Atomics.load(words, GIVEN);
    if (given === this.#heard) return;
    this.#heard = given;
    for (;;) {
      const received = receiveMessageOnPort(parentPort as NonNullable<typeof parentPort>);
      if (received === undefined) break;
      this.#begin(received.message as JobStart);
    }
    for (const job of this.#waitForRoom) {
      if (!job.hasRoom && !job.isCancelled) continue;
      job.activeMs = this.#libc.boottimeMs();
      memory.set(job.start.slot, PAUSED, 0);
      this.#waitForRoom.delete(job);
      this.#ready.add(job);
    }
    for (const job of this.#jobs.values()) if (job.isCancelled) this.#ready.add(job);
  }

  /** Takes what the writer has done. */
  #collect(): void {
    if (this.#writes.size === 0 || !this.#writes.collect()) return;
    for (const job of this.#waitForDisk) {
      job.activeMs = this.#libc.boottimeMs();
      this.#ready.add(job);
    }
    this.#waitForDisk.clear();
  }

  #begin(start: JobStart): void {
    const nowMs = this.#libc.boottimeMs();
    const job =
      start.kind === 'pull' ? new PullerJob(start, this.#tools, nowMs) : new BodyJob(start, this.#tools, nowMs);
    this.#jobs.set(start.slot, job);
    this.#ready.add(job);
    this.#lookEveryMs = Math.max(LOOK_MIN_MS, Math.min(this.#lookEveryMs, start.idleMs / 4));
  }

  #step(job: ThreadJob, nowMs: number, blocksMax: number): void {
    const next = job.step(nowMs, blocksMax);
    this.#goOn(job, next);
    // Who waits for room waits for what these reports set off.
    if (job.isOver || next === 'room') this.#tell(job);
  }

  #gather(job: ThreadJob, block: PulledBlock): void {
    if (this.#untold.size === 0) this.#untoldMs = this.#libc.boottimeMs();
    const untold = this.#untold.get(job);
    if (untold) untold.push(block);
    else this.#untold.set(job, [block]);
  }

  #goOn(job: ThreadJob, next: JobNext): void {
    if (next === 'turn') this.#ready.add(job);
    else if (next === 'room') {
      if (job.pause()) this.#waitForRoom.add(job);
      else this.#ready.add(job);
    } else if (next === 'disk') this.#waitForDisk.add(job);
    else if (next === 'over') this.#forget(job);
    else this.#watch(job, next === 'send' ? 'write' : 'read');
  }

  #watch(job: ThreadJob, what: 'read' | 'write'): void {
    const { slot, socketFd } = job.start;
    if (this.#watched.get(slot) === what) return;
    const added = this.#libc.pollAdd(this.#pollFd, socketFd, { token: slot, for: what });
    if (added >= 0) {
      this.#watched.set(slot, what);
      return;
    }
    this.#goOn(job, job.close(-added));
  }

  #forget(job: ThreadJob): void {
    const { slot, socketFd } = job.start;
    if (this.#watched.delete(slot)) this.#libc.pollRemove(this.#pollFd, socketFd);
    this.#jobs.delete(slot);
    this.#ready.delete(job);
    this.#waitForRoom.delete(job);
    this.#waitForDisk.delete(job);
    if (this.#jobs.size === 0) this.#lookEveryMs = LOOK_MS;
  }

  #tell(job: ThreadJob): void {
    const blocks = this.#untold.get(job) ?? [];
    this.#untold.delete(job);
    // Once it is forgotten, and only then, its slot may be another's.
    const over = this.#jobs.get(job.start.slot) === job ? undefined : job.end;
    if (blocks.length === 0 && !over) return;
    const news: PullNews = { slot: job.start.slot, blocks, over };
    const moved = blocks.flatMap(({ bytes }) => (bytes ? [bytes.buffer] : []));
    parentPort?.postMessage(news, moved);
  }

  #tellAll(): void {
    for (const job of this.#untold.keys()) this.#tell(job);
  }

  /** Ends pulls whose holders sent nothing for too long, after a look whether something lies there. */
  #look(): void {
    if (this.#jobs.size === 0) return;
    const nowMs = this.#libc.boottimeMs();
    const sinceMs = nowMs - this.#lookedMs;
    if (sinceMs < this.#lookEveryMs) return;
    this.#lookedMs = nowMs;
    for (const job of this.#jobs.values()) {
      if (this.#isParked(job) || this.#ready.has(job)) continue;
      if (sinceMs > this.#lookEveryMs + LATE_MS) job.activeMs = nowMs;
      this.#step(job, nowMs, TURN_SHARED_BLOCKS);
      if (job.end || nowMs - job.activeMs < job.start.idleMs || this.#isParked(job)) continue;
      this.#goOn(job, job.idle());
      this.#tell(job);
    }
  }

  /** Whether it waits for something else than its socket. */
  #isParked(job: ThreadJob): boolean {
    return this.#waitForRoom.has(job) || this.#waitForDisk.has(job);
  }

  /** False when nothing happened. */
  #poll(timeoutMs: number): boolean {
    const count = this.#libc.pollWait(this.#pollFd, tokens, timeoutMs);
    for (let index = 0; index < count; index++) {
      const token = tokens[index] as number;
      const job = this.#jobs.get(token);
      if (token === EVENT_TOKEN) this.#libc.clearEvent(data.eventFd);
      else if (job && !this.#isParked(job)) this.#ready.add(job);
    }
    return count > 0;
  }

  /** Sleeps until there is something to do. */
  #wait(): void {
    if (this.#jobs.size === 0) {
      Atomics.wait(words, GIVEN, this.#heard);
      this.#lookedMs = this.#libc.boottimeMs();
      return;
    }
    const soon = this.#untold.size > 0 || this.#writes.size > 0;
    Atomics.store(words, POLLING, 1);
    const isQuiet = this.#writes.await(this.#waitForDisk.size > 0) && Atomics.load(words, GIVEN) === this.#heard;
    const timeoutMs = soon ? GATHER_MS : Math.ceil(this.#lookEveryMs);
    const woken = this.#poll(isQuiet ? timeoutMs : 0);
    Atomics.store(words, POLLING, 0);
    this.#writes.await(false);
    if (isQuiet && !woken) this.#tellAll();
  }
}

const libc = loadLibc();
const sockets = loadSockets();
if (!libc.available || !sockets) throw new Error('a puller needs FFI');
if (data.nice > 0) libc.lowerPriority(data.nice);
// Where there is a compile cache, the next thread takes this one's code from it: half the memory and the start.
process.getBuiltinModule('node:module').flushCompileCache();
new Puller(libc, sockets).run();

/**
 * A puller: receives many answers in turn from non-blocking sockets, so that a holder that hangs keeps nobody else
 * waiting. Without pulls it sleeps on shared memory, with pulls in the kernel's poll.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { BLOCK_SIZE_BYTES } from '../../core/chunk.ts';
import { peerHeadMaxBytes } from '../../core/limits.ts';
import { type LibcCalls, loadLibc } from './libc.ts';
import { loadSockets, type SocketCalls } from './libc-sockets.ts';
import { BlockBuffers, type JobNext, PullerJob, type PullerTools } from './puller-job.ts';
import {
  GIVEN,
  PAUSED,
  POLLING,
  type PulledBlock,
  PullerMemory,
  type PullerWorkerData,
  type PullNews,
  type PullStart,
  STOPPING,
} from './puller-memory.ts';

/** Blocks in one turn of a pull that is alone, and of one among others. */
const TURN_ALONE_BLOCKS = 4;
const TURN_SHARED_BLOCKS = 1;
/** How often sockets are looked at that have not woken the puller, for fewer bytes than it asked to be woken for. */
const LOOK_MS = 250;
const LOOK_MIN_MS = 20;
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
  readonly #jobs = new Map<number, PullerJob>();
  /** Pulls that wait for their reports to settle. */
  readonly #waitForRoom = new Set<PullerJob>();
  /** Slots whose sockets are watched, and for what. */
  readonly #watched = new Map<number, 'read' | 'write'>();
  #ready = new Set<PullerJob>();
  #blocks: PulledBlock[] = [];
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
      report: (_slot, block) => this.#blocks.push(block),
    };
    this.#pollFd = libc.pollCreate();
    libc.pollAdd(this.#pollFd, data.eventFd, { token: EVENT_TOKEN, for: 'read' });
  }

  run(): void {
    while (Atomics.load(words, STOPPING) === 0) {
      this.#hear();
      this.#look();
      if (this.#ready.size === 0) {
        this.#wait();
        continue;
      }
      if (this.#watched.size > this.#ready.size) this.#poll(0);
      const round = this.#ready;
      this.#ready = new Set();
      const nowMs = this.#libc.boottimeMs();
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
      this.#begin(received.message as PullStart);
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

  #begin(start: PullStart): void {
    const job = new PullerJob(start, this.#tools, this.#libc.boottimeMs());
    this.#jobs.set(start.slot, job);
    this.#ready.add(job);
    this.#lookEveryMs = Math.max(LOOK_MIN_MS, Math.min(this.#lookEveryMs, start.idleMs / 4));
  }

  #step(job: PullerJob, nowMs: number, blocksMax: number): void {
    const next = job.step(nowMs, blocksMax);
    this.#goOn(job, next);
    if (this.#blocks.length > 0 || job.end) this.#tell(job);
  }

  #goOn(job: PullerJob, next: JobNext): void {
    if (next === 'turn') this.#ready.add(job);
    else if (next === 'room') {
      if (job.pause()) this.#waitForRoom.add(job);
      else this.#ready.add(job);
    } else if (next === 'over') this.#forget(job);
    else this.#watch(job, next === 'send' ? 'write' : 'read');
  }

  #watch(job: PullerJob, what: 'read' | 'write'): void {
    const { slot, socketFd } = job.start;
    if (this.#watched.get(slot) === what) return;
    const added = this.#libc.pollAdd(this.#pollFd, socketFd, { token: slot, for: what });
    if (added >= 0) {
      this.#watched.set(slot, what);
      return;
    }
    job.end ??= { kind: 'closed', errno: -added, received: false };
    this.#forget(job);
  }

  #forget(job: PullerJob): void {
    const { slot, socketFd } = job.start;
    if (this.#watched.delete(slot)) this.#libc.pollRemove(this.#pollFd, socketFd);
    this.#jobs.delete(slot);
    this.#ready.delete(job);
    this.#waitForRoom.delete(job);
    if (this.#jobs.size === 0) this.#lookEveryMs = LOOK_MS;
  }

  #tell(job: PullerJob): void {
    const news: PullNews = { slot: job.start.slot, blocks: this.#blocks, over: job.end };
    const moved = this.#blocks.flatMap(({ bytes }) => (bytes ? [bytes.buffer] : []));
    this.#blocks = [];
    parentPort?.postMessage(news, moved);
  }

  /** Ends pulls whose holders sent nothing for too long, after a look whether something lies there. */
  #look(): void {
    if (this.#jobs.size === 0) return;
    const nowMs = this.#libc.boottimeMs();
    const sinceMs = nowMs - this.#lookedMs;
    if (sinceMs < this.#lookEveryMs) return;
    this.#lookedMs = nowMs;
    for (const job of this.#jobs.values()) {
      if (this.#waitForRoom.has(job) || this.#ready.has(job)) continue;
      if (sinceMs > this.#lookEveryMs + LATE_MS) job.activeMs = nowMs;
      this.#step(job, nowMs, TURN_SHARED_BLOCKS);
      if (job.end || nowMs - job.activeMs < job.start.idleMs || this.#waitForRoom.has(job)) continue;
      job.idle();
      this.#forget(job);
      this.#tell(job);
    }
  }

  #poll(timeoutMs: number): void {
    const count = this.#libc.pollWait(this.#pollFd, tokens, timeoutMs);
    for (let index = 0; index < count; index++) {
      const token = tokens[index] as number;
      const job = this.#jobs.get(token);
      if (token === EVENT_TOKEN) this.#libc.clearEvent(data.eventFd);
      else if (job && !this.#waitForRoom.has(job)) this.#ready.add(job);
    }
  }

  /** Sleeps until there is something to do. */
  #wait(): void {
    if (this.#jobs.size === 0) {
      Atomics.wait(words, GIVEN, this.#heard);
      this.#lookedMs = this.#libc.boottimeMs();
      return;
    }
    Atomics.store(words, POLLING, 1);
    this.#poll(Atomics.load(words, GIVEN) === this.#heard ? Math.ceil(this.#lookEveryMs) : 0);
    Atomics.store(words, POLLING, 0);
  }
}

const libc = loadLibc();
const sockets = loadSockets();
if (!libc.available || !sockets) throw new Error('a puller needs FFI');
// Where there is a compile cache, the next thread takes this one's code from it: half the memory and the start.
process.getBuiltinModule('node:module').flushCompileCache();
new Puller(libc, sockets).run();

/**
 * What a puller does in turns with one socket: a pull (`puller-job.ts`), or a body of a client (`body-job.ts`). Whole blocks
 * go to the writer, are written in that order, and are reported once they are; the job runs ahead of the reports by a bounded number.
 */
import type { LibcCalls } from './libc.ts';
import type { NativeBuffer, SocketCalls } from './libc-sockets.ts';
import {
  CANCELLED,
  type JobEnd,
  type JobStart,
  PAUSED,
  type PulledBlock,
  type PullerMemory,
  SETTLED,
} from './puller-memory.ts';
import type { BlockWrite, BlockWrites } from './puller-writes.ts';

export interface PullerTools {
  readonly libc: LibcCalls;
  readonly sockets: SocketCalls;
  readonly memory: PullerMemory;
  /** For heads, shared by all jobs of the thread. */
  readonly scratch: NativeBuffer;
  readonly blocks: BlockBuffers;
  readonly writes: BlockWrites;
  report(job: ThreadJob, block: PulledBlock): void;
}

/** What a job waits for: its turn, its socket (to send or to receive), reports to settle, the disk, nothing any more. */
export type JobNext = 'turn' | 'send' | 'receive' | 'room' | 'disk' | 'over';

/** A socket wakes the puller for this much at once: fewer wake-ups, and what comes is still in the processor's cache. */
const WAKE_BYTES = 256 << 10;
/** Buffers of blocks that are kept for the next. */
const KEPT_BUFFERS = 4;

/** Buffers for blocks on their way to a file; a job has one only while a block of it is underway. */
export class BlockBuffers {
  readonly #sockets: SocketCalls;
  readonly #sizeBytes: number;
  readonly #kept: NativeBuffer[] = [];

  constructor(sockets: SocketCalls, sizeBytes: number) {
    this.#sockets = sockets;
    this.#sizeBytes = sizeBytes;
  }

  take(): NativeBuffer {
    return this.#kept.pop() ?? this.#sockets.allocate(this.#sizeBytes);
  }

  give(buffer: NativeBuffer): void {
    if (this.#kept.length < KEPT_BUFFERS) this.#kept.push(buffer);
  }
}

export abstract class ThreadJob<Start extends JobStart = JobStart> {
  readonly start: Start;
  /** How it ended. */
  end: JobEnd | undefined;
  /** When it last received something, or began to wait for it. */
  activeMs: number;
  protected readonly tools: PullerTools;
  /** Blocks that came whole and right. */
  protected taken = 0;
  protected block: NativeBuffer | undefined;
  /** Of the blocks that came, those that are being written. */
  #writing = 0;
  #lowWater = 1;

  constructor(start: Start, tools: PullerTools, nowMs: number) {
    this.start = start;
    this.activeMs = nowMs;
    this.tools = tools;
    // A connection that was used before has the low water of its last answer.
    tools.sockets.setLowWater(start.socketFd, 1);
  }

  /** Goes on until nothing is there or `blocksMax` blocks came. */
  abstract step(nowMs: number, blocksMax: number): JobNext;

  /** Whether nobody uses its descriptors any more. */
  get isOver(): boolean {
    return this.end !== undefined && this.#writing === 0;
  }

  /** Whether what it has reported leaves room for more. */
  get hasRoom(): boolean {
    const { slot, aheadMax } = this.start;
    return this.taken - this.tools.memory.get(slot, SETTLED) < aheadMax;
  }

  get isCancelled(): boolean {
    return this.tools.memory.get(this.start.slot, CANCELLED) === 1;
  }

  /** Asks to be woken when reports settle; false where there is room by now. */
  pause(): boolean {
    const { memory } = this.tools;
    memory.set(this.start.slot, PAUSED, 1);
    if (!this.hasRoom) return true;
    memory.set(this.start.slot, PAUSED, 0);
    return false;
  }

  /** The socket, or the job, is not to be used any more: nothing came for too long. */
  idle(): JobNext {
    return this.over({ kind: 'idle' });
  }

  /** Its socket cannot be waited for. */
  abstract close(errno: number): JobNext;

  protected over(end: JobEnd): JobNext {
    this.end ??= end;
    if (this.block && this.start.fileFd >= 0) this.letGo();
    return this.#writing === 0 ? 'over' : 'disk';
  }

  protected letGo(): void {
    this.tools.blocks.give(this.block as NativeBuffer);
    this.block = undefined;
  }

  /** The block at hand is whole, and goes to the file. */
  protected write(write: BlockWrite): void {
    this.block = undefined;
    this.#writing++;
    this.tools.writes.give(this, write);
  }

  /** A block that it gave to the writer is written, or failed with an errno below zero. */
  written({ block, checksum, from }: BlockWrite, result: number): void {
    this.#writing--;
    this.tools.blocks.give(from);
    // Whatever came after it: a block that is not in the file has not come. None counts after it, for they are reported in order.
    if (result < 0 && this.end?.kind !== 'disk') this.end = { kind: 'disk', errno: -result };
    else if (this.end?.kind !== 'disk') this.tools.report(this, { block, checksum, bytes: undefined });
  }

  /** Waits for the rest of what is at hand, of which `missing` bytes lack. */
  protected wait(missing: number): JobNext {
    const lowWater = Math.min(missing, WAKE_BYTES);
    if (lowWater !== this.#lowWater) {
      this.#lowWater = lowWater;
      this.tools.sockets.setLowWater(this.start.socketFd, lowWater);
    }
    return 'receive';
  }
}

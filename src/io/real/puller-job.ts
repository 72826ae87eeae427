/**
 * One pull inside a puller: sends the request, receives the answer as far as the kernel has it, and hands each block to the
 * writer once its checksum is right. Bytes of a block are checksummed as they come, while the processor still has them at hand.
 */
import { constants } from 'node:os';
import { peerHeadMaxBytes } from '../../core/limits.ts';
import type { LibcCalls } from './libc.ts';
import type { NativeBuffer, SocketCalls } from './libc-sockets.ts';
import { type AnswerNeed, AnswerReader } from './peer-answer.ts';
import {
  CANCELLED,
  PAUSED,
  type PullEnd,
  type PulledBlock,
  type PullerMemory,
  type PullStart,
  SETTLED,
} from './puller-memory.ts';
import type { BlockWrite, BlockWrites } from './puller-writes.ts';

export interface PullerTools {
  readonly libc: LibcCalls;
  readonly sockets: SocketCalls;
  readonly memory: PullerMemory;
  /** For heads, shared by all pulls of the thread. */
  readonly scratch: NativeBuffer;
  readonly blocks: BlockBuffers;
  readonly writes: BlockWrites;
  report(job: PullerJob, block: PulledBlock): void;
}

/** What a pull waits for: its turn, its socket (to send or to receive), reports to settle, the disk, nothing any more. */
export type JobNext = 'turn' | 'send' | 'receive' | 'room' | 'disk' | 'over';

const { EAGAIN, EINTR } = constants.errno;
/** Enough for the head of a frame and the checksums of its blocks; errors are longer. */
const SMALL_BYTES = 512;
/** A socket wakes the puller for this much at once: fewer wake-ups, and what comes is still in the processor's cache. */
const WAKE_BYTES = 256 << 10;
/** Buffers of blocks that are kept for the next. */
const KEPT_BUFFERS = 4;

/** Buffers for blocks on their way to a file; a pull has one only while a block of it is underway. */
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

export class PullerJob {
  readonly start: PullStart;
  /** How it ended. */
  end: PullEnd | undefined;
  /** When it last received something, or began to wait for it. */
  activeMs: number;
  readonly #tools: PullerTools;
  readonly #answer: AnswerReader;
  #sent = 0;
  #received = false;
  /** Blocks that came whole and right. */
  #taken = 0;
  /** Of these, blocks that are being written. */
  #writing = 0;
  #lowWater = 1;
  #small: NativeBuffer | undefined;
  #block: NativeBuffer | undefined;
  /** Bytes of what is needed that are here, and the checksum so far. */
  #got = 0;
  #checksum = 0;

  constructor(start: PullStart, tools: PullerTools, nowMs: number) {
    this.start = start;
    this.activeMs = nowMs;
    this.#tools = tools;
    this.#answer = new AnswerReader(start, start.key);
    // A connection that was used before has the low water of its last answer.
    tools.sockets.setLowWater(start.socketFd, 1);
  }

  /** Whether nobody uses its descriptors any more. */
  get isOver(): boolean {
    return this.end !== undefined && this.#writing === 0;
  }

  /** Whether what it has reported leaves room for more. */
  get hasRoom(): boolean {
    const { slot, aheadMax } = this.start;
    return this.#taken - this.#tools.memory.get(slot, SETTLED) < aheadMax;
  }

  get isCancelled(): boolean {
    return this.#tools.memory.get(this.start.slot, CANCELLED) === 1;
  }

  /** Asks to be woken when reports settle; false where there is room by now. */
  pause(): boolean {
    const { memory } = this.#tools;
    memory.set(this.start.slot, PAUSED, 1);
    if (!this.hasRoom) return true;
    memory.set(this.start.slot, PAUSED, 0);
    return false;
  }

  /** Goes on until nothing is there or `blocksMax` blocks came. */
  step(nowMs: number, blocksMax: number): JobNext {
    if (this.end) return this.#over(this.end);
    if (this.isCancelled) return this.#over({ kind: 'cancelled' });
    if (this.#sent < this.start.head.length) {
      const next = this.#send();
      if (next) return next;
    }
    const stop = this.#taken + blocksMax;
    for (let need = this.#answer.need; ; need = this.#answer.need) {
      if (need.kind === 'done') return this.#over({ kind: 'answered', reusable: need.reusable, failed: need.failed });
      if (need.kind === 'block' && this.#got === 0) {
        if (!this.hasRoom) return 'room';
        if (this.start.fileFd >= 0 && !this.#tools.writes.hasRoom) return 'disk';
      }
      const came = this.#receive(need);
      if (came > 0) this.activeMs = nowMs;
      else if (came === 0) return this.#over({ kind: 'closed', errno: 0, received: this.#received });
      else if (came === -EAGAIN) return this.#wait(need);
      else if (came !== -EINTR) return this.#over({ kind: 'closed', errno: -came, received: this.#received });
      this.#received ||= came > 0;
      if (this.#taken >= stop) return 'turn';
    }
  }

  /** The socket, or the pull, is not to be used any more: nothing came for too long. */
  idle(): JobNext {
    return this.#over({ kind: 'idle' });
  }

  /** Its socket cannot be waited for. */
  close(errno: number): JobNext {
    return this.#over({ kind: 'closed', errno, received: this.#received });
  }

  #over(end: PullEnd): JobNext {
    this.end ??= end;
    if (this.#block && this.start.fileFd >= 0) this.#letGo();
    return this.#writing === 0 ? 'over' : 'disk';
  }

  #send(): JobNext | undefined {
    const { sockets, scratch } = this.#tools;
    const { head, socketFd } = this.start;
    while (this.#sent < head.length) {
      scratch.bytes.set(head.subarray(this.#sent));
      const sent = sockets.send(socketFd, scratch, 0, head.length - this.#sent);
      if (sent > 0) this.#sent += sent;
      else if (sent === -EAGAIN) return 'send';
      else if (sent !== -EINTR) return this.#over({ kind: 'closed', errno: -sent, received: false });
    }
    return undefined;
  }

  /** One call; what it completes is taken. */
  #receive(need: Exclude<AnswerNeed, { kind: 'done' }>): number {
    if (need.kind === 'head') return this.#receiveHead();
    const { sockets } = this.#tools;
    const into = need.kind === 'bytes' ? this.#smallOf(need.length) : this.#blockOf(need.length);
    const came = sockets.receive(this.start.socketFd, into, this.#got, need.length - this.#got);
    if (came <= 0) {
      if (this.#got === 0 && this.#block && this.start.fileFd >= 0) this.#letGo();
      return came;
    }
    if (need.kind === 'block') this.#checksum = sockets.checksum(into, this.#got, came, this.#checksum);
    this.#got += came;
    if (this.#got < need.length) return came;
    this.#got = 0;
    if (need.kind === 'bytes') this.#answer.takeBytes(into.bytes.subarray(0, need.length));
    else this.#takeBlock(need, into);
    return came;
  }

  #receiveHead(): number {
    const { sockets, scratch } = this.#tools;
    const { socketFd } = this.start;
    const there = sockets.peek(socketFd, scratch, peerHeadMaxBytes);
    if (there <= 0) return there;
    const end = scratch.bytes.subarray(0, there).indexOf('\r\n\r\n');
    if (end < 0 && there < peerHeadMaxBytes && !sockets.isEnded(socketFd)) return -EAGAIN;
    const length = end < 0 ? there : end + 4;
    sockets.receive(socketFd, scratch, 0, length);
    this.#answer.takeHead(scratch.bytes.toString('latin1', 0, length));
    return length;
  }

  #smallOf(length: number): NativeBuffer {
    if (!this.#small || this.#small.bytes.length < length)
      this.#small = this.#tools.sockets.allocate(Math.max(length, SMALL_BYTES));
    return this.#small;
  }

  /** Blocks for the control thread have memory of their own, which is handed over. */
  #blockOf(length: number): NativeBuffer {
    this.#block ??= this.start.fileFd >= 0 ? this.#tools.blocks.take() : this.#tools.sockets.allocate(length);
    return this.#block;
  }

  #letGo(): void {
    this.#tools.blocks.give(this.#block as NativeBuffer);
    this.#block = undefined;
  }

  #takeBlock(need: Extract<AnswerNeed, { kind: 'block' }>, from: NativeBuffer): void {
    const checksum = this.#checksum;
    this.#checksum = 0;
    if (!this.#answer.takeBlock(checksum)) return;
    this.#block = undefined;
    this.#taken++;
    if (this.start.fileFd < 0) {
      this.#tools.report(this, { block: need.block, checksum, bytes: from.bytes });
      return;
    }
    this.#writing++;
    this.#tools.writes.give(this, { ...need, checksum, from });
  }

  /** A block that it gave to the writer is written, or failed with an errno below zero. */
  written({ block, checksum, from }: BlockWrite, result: number): void {
    this.#writing--;
    this.#tools.blocks.give(from);
    if (result < 0) this.end ??= { kind: 'disk', errno: -result };
    // After a block that could not be written none counts: they are reported in order.
    else if (this.end?.kind !== 'disk') this.#tools.report(this, { block, checksum, bytes: undefined });
  }

  #wait(need: AnswerNeed): JobNext {
    const missing = need.kind === 'bytes' || need.kind === 'block' ? need.length - this.#got : 1;
    const lowWater = Math.min(missing, WAKE_BYTES);
    if (lowWater !== this.#lowWater) {
      this.#lowWater = lowWater;
      this.#tools.sockets.setLowWater(this.start.socketFd, lowWater);
    }
    return 'receive';
  }
}

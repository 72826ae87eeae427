/**
 * One pull inside a puller: sends the request, receives the answer as far as the kernel has it, and hands each block to the
 * writer once its checksum is right. Bytes of a block are checksummed as they come, while the processor still has them at hand.
 */
import { constants } from 'node:os';
import { peerHeadMaxBytes } from '../../core/limits.ts';
import type { NativeBuffer } from './libc-sockets.ts';
import { type AnswerNeed, AnswerReader } from './peer-answer.ts';
import type { PullStart } from './puller-memory.ts';
import { type JobNext, type PullerTools, ThreadJob } from './thread-job.ts';

const { EAGAIN, EINTR } = constants.errno;
/** Enough for the head of a frame and the checksums of its blocks; errors are longer. */
const SMALL_BYTES = 512;

export class PullerJob extends ThreadJob<PullStart> {
  readonly #answer: AnswerReader;
  #sent = 0;
  #received = false;
  #small: NativeBuffer | undefined;
  /** Bytes of what is needed that are here, and the checksum so far. */
  #got = 0;
  #checksum = 0;

  constructor(start: PullStart, tools: PullerTools, nowMs: number) {
    super(start, tools, nowMs);
    this.#answer = new AnswerReader(start, start.key);
  }

  /** Goes on until nothing is there or `blocksMax` blocks came. */
  step(nowMs: number, blocksMax: number): JobNext {
    if (this.end) return this.over(this.end);
    if (this.isCancelled) return this.over({ kind: 'cancelled' });
    if (this.#sent < this.start.head.length) {
      const next = this.#send();
      if (next) return next;
    }
    const stop = this.taken + blocksMax;
    for (let need = this.#answer.need; ; need = this.#answer.need) {
      if (need.kind === 'done') return this.over({ kind: 'answered', reusable: need.reusable, failed: need.failed });
      if (need.kind === 'block' && this.#got === 0) {
        if (!this.hasRoom) return 'room';
        if (this.start.fileFd >= 0 && !this.tools.writes.hasRoom) return 'disk';
      }
      const came = this.#receive(need);
      if (came > 0) this.activeMs = nowMs;
      else if (came === 0) return this.close(0);
      else if (came === -EAGAIN) return this.#wait(need);
      else if (came !== -EINTR) return this.close(-came);
      this.#received ||= came > 0;
      if (this.taken >= stop) return 'turn';
    }
  }

  close(errno: number): JobNext {
    return this.over({ kind: 'closed', errno, received: this.#received });
  }

  #send(): JobNext | undefined {
    const { sockets, scratch } = this.tools;
    const { head, socketFd } = this.start;
    while (this.#sent < head.length) {
      scratch.bytes.set(head.subarray(this.#sent));
      const sent = sockets.send(socketFd, scratch, 0, head.length - this.#sent);
      if (sent > 0) this.#sent += sent;
      else if (sent === -EAGAIN) return 'send';
      else if (sent !== -EINTR) return this.over({ kind: 'closed', errno: -sent, received: false });
    }
    return undefined;
  }

  /** One call; what it completes is taken. */
  #receive(need: Exclude<AnswerNeed, { kind: 'done' }>): number {
    if (need.kind === 'head') return this.#receiveHead();
    const { sockets } = this.tools;
    const into = need.kind === 'bytes' ? this.#smallOf(need.length) : this.#blockOf(need.length);
    const came = sockets.receive(this.start.socketFd, into, this.#got, need.length - this.#got);
    if (came <= 0) {
      if (this.#got === 0 && this.block && this.start.fileFd >= 0) this.letGo();
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
    const { sockets, scratch } = this.tools;
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
      this.#small = this.tools.sockets.allocate(Math.max(length, SMALL_BYTES));
    return this.#small;
  }

  /** Blocks for the control thread have memory of their own, which is handed over. */
  #blockOf(length: number): NativeBuffer {
    this.block ??= this.start.fileFd >= 0 ? this.tools.blocks.take() : this.tools.sockets.allocate(length);
    return this.block;
  }

  #takeBlock(need: Extract<AnswerNeed, { kind: 'block' }>, from: NativeBuffer): void {
    const checksum = this.#checksum;
    this.#checksum = 0;
    if (!this.#answer.takeBlock(checksum)) return;
    this.taken++;
    if (this.start.fileFd < 0) {
      this.block = undefined;
      this.tools.report(this, { block: need.block, checksum, bytes: from.bytes });
      return;
    }
    this.write({ ...need, checksum, from });
  }

  #wait(need: AnswerNeed): JobNext {
    return this.wait(need.kind === 'bytes' || need.kind === 'block' ? need.length - this.#got : 1);
  }
}

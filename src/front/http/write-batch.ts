/**
 * Small answers, written together at the end of the turn of the event loop that made them.
 *
 * A write to a client that sleeps costs its wake-up, several times the write itself. When a turn has answered many
 * clients of one machine, all but the first find it awake. An answer alone waits for nothing: the turn ends at once.
 *
 * All answers of a turn lie in one buffer. The kernel nearly always takes them whole, and then the buffer is free again;
 * when it does not, the buffer belongs to the sockets and a new one is made.
 */
import type { Socket } from 'node:net';

/** Also what a client can make us hold by asking and not reading, beside what the kernel holds for it. */
const BUFFER_BYTES = 128 * 1024;
/** A longer body is not copied: it leaves at once, from where it is. */
const COPIED_MAX_BYTES = 16 * 1024;

export class WriteBatch {
  #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #used = 0;
  #sockets: Socket[] = [];
  /** Where each socket's bytes end. */
  #ends: number[] = [];

  /**
   * `head` and `tail` have one character per byte; a long `body` belongs to the socket from now on. Whoever writes to `socket` by itself, or ends
   * it, calls `flush` first.
   */
  add(socket: Socket, head: string, body?: Uint8Array, tail = ''): void {
    const length = head.length + (body === undefined ? 0 : body.length) + tail.length;
    const isLong = length > BUFFER_BYTES || (body !== undefined && body.length > COPIED_MAX_BYTES);
    if (isLong || length > BUFFER_BYTES - this.#used) this.flush();
    if (isLong) {
      writeLong(socket, { head, body, tail });
      return;
    }
    if (this.#sockets.length === 0) setImmediate(this.flush);
    this.#used += this.#buffer.write(head, this.#used, 'latin1');
    if (body !== undefined) {
      this.#buffer.set(body, this.#used);
      this.#used += body.length;
    }
    if (tail !== '') this.#used += this.#buffer.write(tail, this.#used, 'latin1');
    const last = this.#sockets.length - 1;
    if (this.#sockets[last] === socket) this.#ends[last] = this.#used;
    else {
      this.#sockets.push(socket);
      this.#ends.push(this.#used);
    }
  }

  readonly flush = (): void => {
    const sockets = this.#sockets;
    if (sockets.length === 0) return;
    const ends = this.#ends;
    const buffer = this.#buffer;
    this.#sockets = [];
    this.#ends = [];
    this.#used = 0;
    let isTaken = true;
    let from = 0;
    for (let index = 0; index < sockets.length; index++) {
      const socket = sockets[index] as Socket;
      const end = ends[index] as number;
      if (!socket.destroyed) {
        socket.write(buffer.subarray(from, end));
        if (socket.writableLength !== 0) isTaken = false;
      }
      from = end;
    }
    if (!isTaken) this.#buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  };
}

function writeLong(socket: Socket, answer: { head: string; body: Uint8Array | undefined; tail: string }): void {
  const { head, body, tail } = answer;
  socket.cork();
  socket.write(head, 'latin1');
  if (body !== undefined) socket.write(body);
  if (tail !== '') socket.write(tail, 'latin1');
  socket.uncork();
}

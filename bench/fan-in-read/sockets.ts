/** Sockets without Node's streams, by FFI: so that a client costs little more than the kernel's copy, and never dominates what it measures. */
const AF_INET = 2;
const SOCK_STREAM = 1;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const SOL_SOCKET = 1;
const SO_RCVLOWAT = 18;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const POLLIN = 1;
const POLLOUT = 4;
const POLL_BYTES = 8;
const WORD_BYTES = 4;

function open() {
  return process.getBuiltinModule('node:ffi').dlopen(null, {
    socket: { return: 'i32', arguments: ['i32', 'i32', 'i32'] },
    connect: { return: 'i32', arguments: ['i32', 'pointer', 'u32'] },
    setsockopt: { return: 'i32', arguments: ['i32', 'i32', 'i32', 'pointer', 'u32'] },
    send: { return: 'i64', arguments: ['i32', 'pointer', 'u64', 'i32'] },
    recv: { return: 'i64', arguments: ['i32', 'pointer', 'u64', 'i32'] },
    poll: { return: 'i32', arguments: ['pointer', 'u64', 'i32'] },
    close: { return: 'i32', arguments: ['i32'] },
  }).functions;
}

let calls: ReturnType<typeof open> | undefined;

const pointerOf = (memory: ArrayBuffer | Uint8Array): bigint =>
  process.getBuiltinModule('node:ffi').getRawPointer(memory as ArrayBuffer);

/** Memory whose address is asked for once. It must not be resized. */
export class Memory {
  readonly bytes: Buffer;
  readonly pointer: bigint;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.pointer = pointerOf(bytes);
  }
}

/** Some connections to one server, used by one thread that blocks while none of them is ready. */
export class Sockets {
  readonly #calls = (calls ??= open());
  readonly #fds: number[] = [];
  readonly #word = new Int32Array(1);
  readonly #wordPointer = pointerOf(new Uint8Array(this.#word.buffer));
  /** `struct pollfd`s: descriptor, events (16 bits), returned events. */
  readonly #polled: DataView;
  readonly #polledPointer: bigint;

  /** `host`: address and port of an IPv4 server. Throws when a connection cannot be made. */
  constructor(host: string, count: number) {
    const [address = '', port] = host.split(':');
    const name = new DataView(new ArrayBuffer(16));
    name.setUint16(0, AF_INET, true);
    name.setUint16(2, Number(port));
    for (const [i, part] of address.split('.').entries()) name.setUint8(4 + i, Number(part));
    this.#polled = new DataView(new ArrayBuffer(count * POLL_BYTES));
    this.#polledPointer = pointerOf(this.#polled.buffer as ArrayBuffer);
    for (let i = 0; i < count; i++) {
      const fd = this.#calls.socket(AF_INET, SOCK_STREAM, 0);
      this.#fds.push(fd);
      if (this.#calls.connect(fd, pointerOf(name.buffer), 16) !== 0) {
        this.close();
        throw new Error(`${host} takes no connection`);
      }
      this.#option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
      this.#polled.setInt32(i * POLL_BYTES, fd, true);
    }
  }

  #option(fd: number, level: number, name: number, value: number): void {
    this.#word[0] = value;
    this.#calls.setsockopt(fd, level, name, this.#wordPointer, WORD_BYTES);
  }

  /** Bytes taken by the kernel, 0 when it has no room. */
  send(index: number, memory: Memory, from: number, length: number): number {
    const fd = this.#fds[index] as number;
    const sent = this.#calls.send(fd, memory.pointer + BigInt(from), BigInt(length), MSG_DONTWAIT | MSG_NOSIGNAL);
    return Math.max(0, Number(sent));
  }

  /** Bytes put to the beginning of `memory`; 0 when there are none yet. Throws when the server closed the connection. */
  receive(index: number, memory: Memory): number {
    const fd = this.#fds[index] as number;
    const came = this.#calls.recv(fd, memory.pointer, BigInt(memory.bytes.length), MSG_DONTWAIT);
    if (came === 0n) throw new Error('the server closed the connection');
    return Math.max(0, Number(came));
  }

  /** It is ready to be read from so many bytes on. Without it a reader is woken for every segment. */
  wakeAt(index: number, bytes: number): void {
    this.#option(this.#fds[index] as number, SOL_SOCKET, SO_RCVLOWAT, bytes);
  }

  wants(index: number, what: 'answer' | 'room'): void {
    this.#polled.setInt16(index * POLL_BYTES + 4, what === 'answer' ? POLLIN : POLLIN | POLLOUT, true);
  }

  /** Nothing is waited for there any more. */
  forget(index: number): void {
    this.#polled.setInt32(index * POLL_BYTES, -1, true);
    this.#polled.setInt16(index * POLL_BYTES + 6, 0, true);
  }

  /** Blocks until one is ready. Throws when none is for `timeoutMs`. */
  wait(timeoutMs: number): void {
    const ready = this.#calls.poll(this.#polledPointer, BigInt(this.#fds.length), timeoutMs);
    if (ready === 0) throw new Error(`the server sent nothing for ${timeoutMs} ms`);
  }

  /** After `wait`: ready, or broken, which the next call tells. */
  isReady(index: number): boolean {
    return this.#polled.getInt16(index * POLL_BYTES + 6, true) !== 0;
  }

  close(): void {
    for (const fd of this.#fds.splice(0)) this.#calls.close(fd);
  }
}

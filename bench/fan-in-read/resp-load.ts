/**
 * Load on a RESP server, the same for every server: connections with one request in flight each, from one thread, through
 * buffers that are used again, as LMCache's C++ client does it (docs: FIELD of KV clients). Of every answer the head, the end and the
 * edges of every piece are compared with what was stored; with `verify` all bytes are.
 */
import { assert } from '../../src/core/assert.ts';
import { firstWrong, PATTERN_SLICE_MAX_BYTES, patternSlice } from '../pattern.ts';
import { Memory, Sockets } from './sockets.ts';

export interface Load {
  /** `address:port`. */
  readonly host: string;
  readonly op: 'get' | 'set';
  readonly connections: number;
  readonly requests: number;
  /** Keys are `<prefix><index>`, asked for in turn. */
  readonly prefix: string;
  /** To be set: a multiple of the connections. */
  readonly keys: number;
  readonly sizeBytes: number;
  /** Of the value of the first key, or of the first request that sets one; the next one's is one more. */
  readonly firstSeed: number;
  /** Compares all bytes that come. */
  readonly verify?: boolean;
}

export interface LoadDone {
  readonly seconds: number;
  /** CPU time of the client. */
  readonly clientCpuS: number;
}

const RECEIVE_BYTES = 256 * 1024;
const IDLE_MS = 20_000;
const EDGE_BYTES = 64;
const CRLF = Buffer.from('\r\n');
const OK = Buffer.from('+OK\r\n');
const POINTED = new Map<number, Memory>();

/** A slice of the pattern with its address. */
function bodySlice(seed: number, at: number, length: number): Memory {
  const slice = patternSlice(seed, at, length);
  const known = POINTED.get(slice.byteOffset);
  if (known?.bytes.length === slice.length) return known;
  const memory = new Memory(slice);
  if (POINTED.size > 4096) POINTED.clear();
  POINTED.set(slice.byteOffset, memory);
  return memory;
}

const bulk = (text: string) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;

class Lane {
  readonly index: number;
  seed = 0;
  key = '';
  /** What is sent before the body. */
  head: Memory | undefined;
  sentBytes = 0;
  receivedBytes = 0;
  answered = 0;
  wokenAt = 1;
  isDone = false;

  constructor(index: number) {
    this.index = index;
  }
}

class Run {
  readonly #load: Load;
  readonly #sockets: Sockets;
  readonly #lanes: readonly Lane[];
  readonly #memory = new Memory(Buffer.alloc(RECEIVE_BYTES, 1));
  readonly #end = new Memory(CRLF);
  readonly #heads = new Map<number, Memory>();
  readonly #answerHead: Buffer;
  readonly #answerBytes: number;
  #begun = 0;
  #done = 0;

  constructor(load: Load) {
    assert(load.op === 'get' || load.keys % load.connections === 0, 'each connection sets keys of its own');
    this.#load = load;
    this.#sockets = new Sockets(load.host, load.connections);
    this.#lanes = Array.from({ length: load.connections }, (_, index) => new Lane(index));
    this.#answerHead = load.op === 'set' ? OK : Buffer.from(`$${load.sizeBytes}\r\n`);
    this.#answerBytes = this.#answerHead.length + (load.op === 'set' ? 0 : load.sizeBytes + CRLF.length);
  }

  run(): LoadDone {
    try {
      const from = performance.now();
      const cpu = process.cpuUsage();
      for (const lane of this.#lanes) this.#begin(lane);
      while (this.#done < this.#load.requests) {
        this.#sockets.wait(IDLE_MS);
        for (const lane of this.#lanes) if (!lane.isDone && this.#sockets.isReady(lane.index)) this.#serve(lane);
      }
      const { user, system } = process.cpuUsage(cpu);
      return { seconds: (performance.now() - from) / 1000, clientCpuS: (user + system) / 1e6 };
    } finally {
      this.#sockets.close();
    }
  }

  #headOf(keyIndex: number): Memory {
    const known = this.#heads.get(keyIndex);
    if (known !== undefined) return known;
    const { op, prefix, sizeBytes } = this.#load;
    const key = bulk(`${prefix}${keyIndex}`);
    const text = op === 'get' ? `*2\r\n${bulk('GET')}${key}` : `*3\r\n${bulk('SET')}${key}$${sizeBytes}\r\n`;
    const memory = new Memory(Buffer.from(text));
    this.#heads.set(keyIndex, memory);
    return memory;
  }

  /** The next request of a lane, if there is one. */
  #begin(lane: Lane): void {
    const { requests, keys, connections, firstSeed, op, prefix } = this.#load;
    // Who sets a key again has seen the answer to the last time: a lane has keys of its own.
    const request = op === 'get' ? this.#begun : lane.index + lane.answered * connections;
    if (request >= requests) {
      lane.isDone = true;
      this.#sockets.forget(lane.index);
      return;
    }
    this.#begun += 1;
    lane.seed = firstSeed + (op === 'get' ? request % keys : request);
    lane.key = `${prefix}${request % keys}`;
    lane.head = this.#headOf(request % keys);
    lane.sentBytes = 0;
    lane.receivedBytes = 0;
    this.#send(lane);
  }

  get #bodyBytes(): number {
    return this.#load.op === 'set' ? this.#load.sizeBytes : 0;
  }

  /** What is to be sent from `at` on, as far as it lies together. */
  #outgoing(lane: Lane, at: number): { memory: Memory; from: number; length: number } {
    const head = lane.head as Memory;
    const headBytes = head.bytes.length;
    if (at < headBytes) return { memory: head, from: at, length: headBytes - at };
    const inBody = at - headBytes;
    if (inBody >= this.#bodyBytes) {
      const from = inBody - this.#bodyBytes;
      return { memory: this.#end, from, length: CRLF.length - from };
    }
    const from = inBody % PATTERN_SLICE_MAX_BYTES;
    const sliceAt = inBody - from;
    const length = Math.min(PATTERN_SLICE_MAX_BYTES, this.#bodyBytes - sliceAt);
    return { memory: bodySlice(lane.seed, sliceAt, length), from, length: length - from };
  }

  #send(lane: Lane): void {
    const total = this.#requestBytes(lane);
    while (lane.sentBytes < total) {
      const { memory, from, length } = this.#outgoing(lane, lane.sentBytes);
      const sent = this.#sockets.send(lane.index, memory, from, length);
      lane.sentBytes += sent;
      if (sent < length) {
        this.#sockets.wants(lane.index, 'room');
        return;
      }
    }
    this.#sockets.wants(lane.index, 'answer');
  }

  #serve(lane: Lane): void {
    const came = this.#sockets.receive(lane.index, this.#memory);
    if (lane.sentBytes < this.#requestBytes(lane)) {
      // Who answers before the end refuses; the check says with which words.
      if (came > 0) this.#check(lane, came);
      this.#send(lane);
      return;
    }
    if (came === 0) return;
    this.#check(lane, came);
    lane.receivedBytes += came;
    if (lane.receivedBytes === this.#answerBytes) {
      this.#done += 1;
      lane.answered += 1;
      this.#begin(lane);
    }
    this.#wake(lane);
  }

  #requestBytes(lane: Lane): number {
    return (lane.head as Memory).bytes.length + (this.#bodyBytes > 0 ? this.#bodyBytes + CRLF.length : 0);
  }

  /** Of a large answer whose beginning is right, the reader is woken for large pieces only. */
  #wake(lane: Lane): void {
    const isUnderWay = lane.receivedBytes > 0 && this.#answerBytes > RECEIVE_BYTES;
    const bytes = isUnderWay ? Math.min(this.#answerBytes - lane.receivedBytes, RECEIVE_BYTES / 2) : 1;
    if (bytes === lane.wokenAt || lane.isDone) return;
    lane.wokenAt = bytes;
    this.#sockets.wakeAt(lane.index, bytes);
  }

  /** Throws when what came is not what must be at this place of the answer. */
  #check(lane: Lane, came: number): void {
    const at = lane.receivedBytes;
    const bytes = this.#memory.bytes.subarray(0, came);
    const bodyAt = this.#answerHead.length;
    const bodyEnd = this.#load.op === 'set' ? bodyAt : bodyAt + this.#load.sizeBytes;
    const wrong = (what: string) =>
      new Error(`${this.#load.op} ${lane.key}: ${what}, answered ${JSON.stringify(bytes.toString('latin1', 0, 80))}`);
    if (at + came > this.#answerBytes) throw wrong('more bytes than there are');
    if (at < bodyAt && !isPartOf(this.#answerHead, at, bytes)) throw wrong('another head');
    if (at + came > bodyEnd && bodyEnd > bodyAt && !isPartOf(CRLF, at - bodyEnd, bytes)) throw wrong('another end');
    const from = Math.max(at, bodyAt);
    const to = Math.min(at + came, bodyEnd);
    if (from >= to) return;
    const body = bytes.subarray(from - at, to - at);
    const isShort = body.length <= 2 * EDGE_BYTES || this.#load.verify === true;
    const edges = isShort ? [body] : [body.subarray(0, EDGE_BYTES), body.subarray(-EDGE_BYTES)];
    for (const edge of edges) {
      const place = from - bodyAt + (edge.byteOffset - body.byteOffset);
      const wrongAt = firstWrong(lane.seed, place, edge);
      if (wrongAt !== undefined) throw wrong(`a wrong byte at ${wrongAt}`);
    }
  }
}

/** Whether `bytes`, which lie at `at` relative to the beginning of `expected`, agree with it where both are. */
function isPartOf(expected: Buffer, at: number, bytes: Buffer): boolean {
  const from = Math.max(0, at);
  const to = Math.min(expected.length, at + bytes.length);
  return to <= from || expected.compare(bytes, from - at, to - at, from, to) === 0;
}

/** Blocks the thread until all is answered. Throws on the first wrong answer. */
export function runLoad(load: Load): LoadDone {
  return new Run(load).run();
}

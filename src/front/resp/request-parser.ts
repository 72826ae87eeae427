/**
 * Requests as they arrive: arrays of bulk strings, or a line of words (RESP "inline"). Bytes may come in any pieces; the
 * steps are the same. Errors are Redis's own words, and after one nothing more is read.
 *
 * Values (the arguments that `isValue` names) come as bytes; those above `wholeMaxBytes`, and those beyond what a request
 * may collect, are not collected at all: `next` says `body`, and `takeBody` hands out their bytes as they come. All other
 * arguments come as text, one character per byte; one above `respArgumentMaxBytes` is thrown away and `tooLong` says so.
 *
 * Bounds: respArgumentsMax, respRequestMaxBytes; before a client has named itself, Redis's own lower ones.
 */
import {
  respArgumentMaxBytes,
  respArgumentsMax,
  respRequestMaxBytes,
  respWholeMaxBytes,
} from '../../core/kv-limits.ts';
import { splitWords } from './inline-words.ts';

export type Argument = string | Buffer;

/** `request`: `args` are complete. `body`: a value of `bodyLengthBytes` begins. `error`: `problem` says what is wrong. */
export type Step = 'incomplete' | 'request' | 'body' | 'error';

export interface ParserOptions {
  /** Whether the argument at `index` of the command is a value. `name` as it was sent. */
  readonly isValue: (name: string, index: number) => boolean;
  /** Values up to this are collected now; absent: `respWholeMaxBytes`. */
  readonly wholeMaxBytes?: () => number;
}

const STAR = 0x2a;
const DOLLAR = 0x24;
const CR = 0x0d;
const LF = 0x0a;
const MINUS = 0x2d;
const DIGITS_MAX = 10;
const EMPTY = Buffer.alloc(0);
/** In place of an argument that was not collected. */
export const NOT_COLLECTED: Buffer = Buffer.alloc(0);
const UNKNOWN = -1;
const ANONYMOUS_ARGUMENTS_MAX = 10;
const ANONYMOUS_BULK_MAX_BYTES = 16_384;
/** Redis's `proto-max-bulk-len`, and what a value may have. */
const BULK_MAX_BYTES = 512 * 1024 * 1024;
const COUNT_MAX = 2 ** 31 - 1;

export class RequestParser {
  /** Of the request that is under way, or that `next` just completed. */
  args: Argument[] = [];
  /** How many the request has in all. */
  argumentCount = 0;
  tooLong = false;
  bodyLengthBytes = 0;
  problem = '';
  /** Set once the client has said who it is. */
  trusted = false;
  readonly #isValue: ParserOptions['isValue'];
  readonly #wholeMaxBytes: () => number;
  #buffer: Buffer = EMPTY;
  #at = 0;
  #end = 0;
  /** The buffer is of our own making and has room behind `#end`. */
  #owned = false;
  /** Where the search for the end of a line goes on. */
  #searched = 0;
  #left = 0;
  #bulk = UNKNOWN;
  #bodyLeft = 0;
  #skipLeft = 0;
  /** The CRLF behind a body or what was skipped is still to come. */
  #tail = false;
  #collected = 0;
  #number = 0;

  constructor(options: ParserOptions) {
    this.#isValue = options.isValue;
    this.#wholeMaxBytes = options.wholeMaxBytes ?? (() => respWholeMaxBytes);
  }

  /** Bytes that are kept here, of a request that is not complete or not looked at yet. */
  get heldBytes(): number {
    return this.#end - this.#at + this.#collected;
  }

  /** Bytes that nobody has looked at, or that are part of an argument which is not complete. */
  get unreadBytes(): number {
    return this.#end - this.#at;
  }

  /** Whether the client has begun a request and owes the rest of it. */
  get isMidway(): boolean {
    return this.#left > 0 || this.#end > this.#at;
  }

  /** Bytes of the body that were not taken yet. */
  get bodyLeft(): number {
    return this.#bodyLeft;
  }

  /** The rest of the body was taken off the connection by somebody else. */
  skipBody(): void {
    this.#bodyLeft = 0;
  }

  /** Whether the CRLF behind the last body has been read. */
  get isBodyClosed(): boolean {
    return !this.#tail;
  }

  feed(data: Buffer): void {
    const rest = this.#end - this.#at;
    if (rest === 0) {
      this.#buffer = data;
      this.#at = 0;
      this.#end = data.length;
      this.#searched = 0;
      this.#owned = false;
      return;
    }
    if (!this.#owned || this.#buffer.length - this.#end < data.length) this.#grow(rest, data.length);
    this.#end += data.copy(this.#buffer, this.#end);
  }

  #grow(rest: number, more: number): void {
    // A long argument gets memory of its own length, so that a value may be kept as it is.
    const wanted = this.#bulk === UNKNOWN ? 2 * rest : this.#bulk + 2;
    const grown = Buffer.allocUnsafeSlow(Math.max(wanted, rest + more));
    this.#buffer.copy(grown, 0, this.#at, this.#end);
    this.#buffer = grown;
    this.#searched = Math.max(0, this.#searched - this.#at);
    this.#at = 0;
    this.#end = rest;
    this.#owned = true;
  }

  next(): Step {
    for (;;) {
      if (this.#tail || this.#skipLeft > 0) {
        const step = this.#finishLong();
        if (step !== undefined) return step;
      } else if (this.#left === 0) {
        const step = this.#begin();
        if (step !== undefined) return step;
      } else {
        const step = this.#bulk === UNKNOWN ? this.#bulkLength() : this.#argument();
        if (step !== undefined) return step;
      }
    }
  }

  /** Bytes of the body, as many as are here; call `next` once `bodyLeft` is 0. */
  takeBody(): Buffer | undefined {
    const length = Math.min(this.#bodyLeft, this.#end - this.#at);
    if (length === 0) return undefined;
    const bytes = this.#buffer.subarray(this.#at, this.#at + length);
    this.#at += length;
    this.#bodyLeft -= length;
    return bytes;
  }

  /** A request's first line; `undefined`: go on. */
  #begin(): Step | undefined {
    if (this.#at === this.#end) return 'incomplete';
    if (this.#buffer[this.#at] !== STAR) return this.#inline();
    const read = this.#integer();
    if (read === 'incomplete') return read;
    if (read === 'invalid' || this.#number > COUNT_MAX) return this.#fail('invalid multibulk length');
    const count = this.#number;
    if (count > ANONYMOUS_ARGUMENTS_MAX && !this.trusted) return this.#fail('unauthenticated multibulk length');
    if (count > respArgumentsMax) return this.#fail('invalid multibulk length');
    if (count <= 0) return undefined;
    this.#reset(count);
    this.#left = count;
    return undefined;
  }

  #reset(count: number): void {
    this.args = [];
    this.argumentCount = count;
    this.tooLong = false;
    this.#collected = 0;
  }

  #bulkLength(): Step | undefined {
    if (this.#at === this.#end) return 'incomplete';
    const first = this.#buffer[this.#at] as number;
    if (first !== DOLLAR) return this.#fail(`expected '$', got '${String.fromCharCode(first)}'`);
    const read = this.#integer();
    if (read === 'incomplete') return read;
    const length = this.#number;
    if (read === 'invalid' || length < 0 || length > BULK_MAX_BYTES) return this.#fail('invalid bulk length');
    if (length > ANONYMOUS_BULK_MAX_BYTES && !this.trusted) return this.#fail('unauthenticated bulk length');
    const index = this.args.length;
    const isValue = index > 0 && this.#isValue(this.args[0] as string, index);
    if (isValue && (length > this.#wholeMaxBytes() || this.#collected + length > respRequestMaxBytes)) {
      this.bodyLengthBytes = length;
      this.#bodyLeft = length;
      this.#tail = true;
      return 'body';
    }
    if (length > respArgumentMaxBytes && !isValue) {
      this.#skipLeft = length;
      this.#tail = true;
      this.tooLong = true;
      return undefined;
    }
    if (this.#collected + length > respRequestMaxBytes) return this.#fail('too big a request');
    this.#bulk = length;
    return undefined;
  }

  #argument(): Step | undefined {
    const end = this.#at + this.#bulk;
    if (this.#end < end + 2) return 'incomplete';
    if (this.#buffer[end] !== CR || this.#buffer[end + 1] !== LF)
      return this.#fail('expected CRLF after a bulk string');
    const { args } = this;
    const isValue = args.length > 0 && this.#isValue(args[0] as string, args.length);
    args.push(isValue ? this.#buffer.subarray(this.#at, end) : this.#buffer.toString('latin1', this.#at, end));
    this.#collected += this.#bulk;
    this.#at = end + 2;
    this.#bulk = UNKNOWN;
    return this.#counted();
  }

  /** One argument more is complete. */
  #counted(): Step | undefined {
    if (--this.#left > 0) return undefined;
    this.#collected = 0;
    return 'request';
  }

  /** What is left of an argument that is thrown away, and the CRLF behind that or behind a body. */
  #finishLong(): Step | undefined {
    if (this.#bodyLeft > 0) return 'body';
    const skipped = Math.min(this.#skipLeft, this.#end - this.#at);
    this.#skipLeft -= skipped;
    this.#at += skipped;
    if (this.#skipLeft > 0 || this.#end - this.#at < 2) return 'incomplete';
    if (this.#buffer[this.#at] !== CR || this.#buffer[this.#at + 1] !== LF)
      return this.#fail('expected CRLF after a bulk string');
    this.#at += 2;
    this.#tail = false;
    this.args.push(NOT_COLLECTED);
    return this.#counted();
  }

  /** Reads the number of a line that begins with a type byte, into `#number`, and goes behind the line. */
  #integer(): 'read' | 'incomplete' | 'invalid' {
    const buffer = this.#buffer;
    let at = this.#at + 1;
    if (at >= this.#end) return 'incomplete';
    const negative = buffer[at] === MINUS;
    if (negative) at++;
    const from = at;
    let value = 0;
    for (; at < this.#end; at++) {
      const byte = buffer[at] as number;
      if (byte === CR) break;
      const digit = byte - 0x30;
      if (digit < 0 || digit > 9 || at - from >= DIGITS_MAX) return 'invalid';
      if (at > from && value === 0) return 'invalid';
      value = value * 10 + digit;
    }
    if (at >= this.#end) return 'incomplete';
    if (at === from || (negative && value === 0)) return 'invalid';
    if (at + 1 >= this.#end) return 'incomplete';
    if (buffer[at + 1] !== LF) return 'invalid';
    this.#number = negative ? -value : value;
    this.#at = at + 2;
    return 'read';
  }

  #inline(): Step | undefined {
    const found = this.#buffer.indexOf(LF, Math.max(this.#at, this.#searched));
    const end = found < 0 || found >= this.#end ? this.#end : found;
    if (end - this.#at > respArgumentMaxBytes) return this.#fail('too big inline request');
    if (end === this.#end) {
      this.#searched = end;
      return 'incomplete';
    }
    const isCrLf = end > this.#at && this.#buffer[end - 1] === CR;
    const words = splitWords(this.#buffer.toString('latin1', this.#at, isCrLf ? end - 1 : end));
    this.#at = end + 1;
    if (words === undefined) return this.#fail('unbalanced quotes in request');
    if (words.length === 0) return undefined;
    this.#reset(words.length);
    const name = words[0] as string;
    this.args = words.map((word, index) =>
      index > 0 && this.#isValue(name, index) ? Buffer.from(word, 'latin1') : word,
    );
    return 'request';
  }

  #fail(problem: string): Step {
    this.problem = `Protocol error: ${problem}`;
    return 'error';
  }
}

/**
 * The client of large GETs, the same for every server: one keep-alive connection that receives straight into a buffer of
 * its own, so that the client costs little more than the kernel's copy. Bytes are checked against the pattern, after
 * the clock has stopped where the whole body fits the buffer, else as they come.
 */
import { connect, type Socket } from 'node:net';
import { firstWrong } from './pattern.ts';
import { requestHead, type SigningKey } from './sign.ts';

export interface ReadRequest {
  readonly path: string;
  /** Names the bytes that must come (`pattern.ts`); absent where `onPiece` checks them. */
  readonly seed?: number;
  readonly start: number;
  readonly end: number;
  /** Sent as a Range header; absent: the whole object from `start` = 0. */
  readonly ranged?: boolean;
  /** Gets the body as it comes, instead of the check against the pattern; a piece is good until it returns. */
  readonly onPiece?: (piece: Buffer) => void;
}

const HEAD_MAX_BYTES = 64 * 1024;

/** Where the first wrong byte is, as far as the request can tell. */
function wrongIn({ seed, onPiece }: ReadRequest, at: number, bytes: Buffer): number | undefined {
  onPiece?.(bytes);
  return seed === undefined ? undefined : firstWrong(seed, at, bytes);
}

interface Transfer {
  readonly request: ReadRequest;
  readonly streaming: boolean;
  receivedBytes: number;
  resolve(value: { seconds: number; firstByteS: number }): void;
  reject(error: Error): void;
  readonly fromMs: number;
  firstByteMs: number;
}

export class RawReader {
  readonly #buffer: Buffer;
  readonly #head = Buffer.allocUnsafeSlow(HEAD_MAX_BYTES);
  readonly #key: SigningKey | undefined;
  readonly #host: string;
  #socket: Socket | undefined;
  #transfer: Transfer | undefined;
  /** Bytes of head received so far; −1 while the body comes. */
  #headBytes = 0;

  /** `host` is `address:port`; `bufferBytes` is the largest body that is checked after the clock. `buffer`, of that length, may be handed from one reader to the next. */
  constructor(host: string, options: { bufferBytes: number; key?: SigningKey; buffer?: Buffer }) {
    this.#host = host;
    this.#key = options.key;
    // touched now, not while the clock runs
    this.#buffer = options.buffer ?? Buffer.allocUnsafeSlow(options.bufferBytes).fill(0xff);
  }

  async connect(): Promise<void> {
    const [address, port] = this.#host.split(':') as [string, string];
    const socket = connect({
      host: address,
      port: Number(port),
      noDelay: true,
      onread: { buffer: () => this.#target(), callback: (bytes) => this.#received(bytes) },
    });
    this.#socket = socket;
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('error', reject);
    });
    const end = (error: Error) => {
      this.#transfer?.reject(error);
      this.#transfer = undefined;
    };
    socket.on('error', end).on('close', () => end(new Error('the server closed the connection')));
  }

  /** Seconds from the request to the last byte; rejects when the answer is not the whole right body. */
  async read(request: ReadRequest): Promise<{ seconds: number; firstByteS: number }> {
    const range = request.ranged ? { range: `bytes=${request.start}-${request.end - 1}` } : {};
    const plain = { method: 'GET', host: this.#host, path: request.path, atMs: Date.now() } as const;
    const head = requestHead(plain, this.#key, range);
    const length = request.end - request.start;
    const streaming = length > this.#buffer.length || request.onPiece !== undefined;
    this.#headBytes = 0;
    const done = new Promise<{ seconds: number; firstByteS: number }>((resolve, reject) => {
      const fromMs = performance.now();
      this.#transfer = { request, streaming, receivedBytes: 0, resolve, reject, fromMs, firstByteMs: 0 };
    });
    this.#socket?.write(head);
    const timing = await done;
    if (!streaming) {
      const wrong = wrongIn(request, request.start, this.#buffer.subarray(0, length));
      if (wrong !== undefined) throw new Error(`${request.path}: wrong byte at ${wrong}`);
    }
    return timing;
  }

  close(): void {
    this.#socket?.destroy();
  }

  /** Where the kernel shall put the next bytes. */
  #target(): Buffer {
    const transfer = this.#transfer;
    if (transfer === undefined || this.#headBytes >= 0) return this.#head.subarray(Math.max(0, this.#headBytes));
    return transfer.streaming ? this.#buffer : this.#buffer.subarray(transfer.receivedBytes);
  }

  #received(bytes: number): boolean {
    const transfer = this.#transfer;
    if (transfer === undefined) return true;
    if (this.#headBytes < 0) this.#body(transfer, bytes, undefined);
    else this.#headPart(transfer, bytes);
    return true;
  }

  #headPart(transfer: Transfer, bytes: number): void {
    const total = this.#headBytes + bytes;
    const end = this.#head.subarray(0, total).indexOf('\r\n\r\n');
    if (end < 0) {
      this.#headBytes = total;
      if (total === HEAD_MAX_BYTES) this.#fail(new Error('no end of the head'));
      return;
    }
    const text = this.#head.toString('latin1', 0, end);
    const expected = transfer.request.end - transfer.request.start;
    const status = Number(text.slice(9, 12));
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(text)?.[1] ?? Number.NaN);
    if ((status !== 200 && status !== 206) || length !== expected) {
      this.#fail(new Error(`${transfer.request.path}: ${status} with ${length} bytes instead of ${expected}`));
      return;
    }
    this.#headBytes = -1;
    transfer.firstByteMs = performance.now();
    this.#body(transfer, total - end - 4, this.#head.subarray(end + 4, total));
  }

  /** `piece`: bytes that came with the head; else they are in the buffer already. */
  #body(transfer: Transfer, bytes: number, piece: Buffer | undefined): void {
    const { request } = transfer;
    if (transfer.streaming) {
      const came = piece ?? this.#buffer.subarray(0, bytes);
      const wrong = wrongIn(request, request.start + transfer.receivedBytes, came);
      if (wrong !== undefined) {
        this.#fail(new Error(`${request.path}: wrong byte at ${wrong}`));
        return;
      }
    } else if (piece) piece.copy(this.#buffer, transfer.receivedBytes);
    transfer.receivedBytes += bytes;
    const expected = request.end - request.start;
    if (transfer.receivedBytes < expected) return;
    if (transfer.receivedBytes > expected) {
      this.#fail(new Error(`${request.path}: more bytes than promised`));
      return;
    }
    const now = performance.now();
    this.#transfer = undefined;
    transfer.resolve({
      seconds: (now - transfer.fromMs) / 1000,
      firstByteS: (transfer.firstByteMs - transfer.fromMs) / 1000,
    });
  }

  #fail(error: Error): void {
    const transfer = this.#transfer;
    this.#transfer = undefined;
    transfer?.reject(error);
    this.#socket?.destroy();
  }
}

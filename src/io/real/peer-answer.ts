/**
 * Reads the answer to a data request, whoever receives its bytes: a puller's thread or Node's streams. `need` says what
 * comes next, and one of the `take` methods takes it. What is wrong with the answer becomes `failed`, never an exception.
 */
import { blockRange, blocksRange } from '../../core/chunk.ts';
import { peerErrorMaxBytes, peerFrameBlocksMax } from '../../core/limits.ts';
import type { BlockRequest } from '../peers.ts';
import {
  ANSWER_END,
  CHUNK_END,
  CHUNK_LINE_BYTES,
  FRAME_BLOCKS,
  FRAME_END,
  FRAME_ERROR,
  FRAME_HEAD_BYTES,
  FRAME_MAC_BYTES,
  type FrameHead,
  type FrameKey,
  isFrameSigned,
  parseFrameHead,
} from './peer-frame.ts';

export type AnswerNeed =
  /** The head, up to the empty line that ends it. */
  | { readonly kind: 'head' }
  | { readonly kind: 'bytes'; readonly length: number }
  | { readonly kind: 'block'; readonly block: number; readonly length: number; readonly position: number }
  /** `reusable`: the connection may take the next request. */
  | { readonly kind: 'done'; readonly reusable: boolean; readonly failed: AnswerFailure | undefined };

export type AnswerFailure =
  /** The holder's own words, JSON. */
  { readonly kind: 'error'; readonly text: string } | { readonly kind: 'corrupt'; readonly message: string };

type State = 'head' | 'refusal' | 'frame' | 'payload' | 'blocks' | 'end';

const FIRST_FRAME_BYTES = CHUNK_LINE_BYTES + FRAME_HEAD_BYTES;

export class AnswerReader {
  readonly #request: Omit<BlockRequest, 'content'>;
  readonly #key: FrameKey;
  #state: State = 'head';
  #need: AnswerNeed = { kind: 'head' };
  #frames = 0;
  /** The next block to come. */
  #next: number;
  /** The frame whose payload or blocks come. */
  #frame: FrameHead | undefined;
  #head: Buffer = Buffer.alloc(0);
  #checksums: Buffer = Buffer.alloc(0);
  #reusable = false;
  #failed: AnswerFailure | undefined;

  constructor(request: Omit<BlockRequest, 'content'>, key: FrameKey) {
    this.#request = request;
    this.#key = key;
    this.#next = request.first;
  }

  get need(): AnswerNeed {
    return this.#need;
  }

  /** Blocks that came whole and right, from the first on. */
  get blocks(): number {
    return this.#next - this.#request.first;
  }

  /** `text`: the head with the empty line. */
  takeHead(text: string): void {
    const status = /^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1];
    this.#reusable = !/\r\nconnection: *close\r\n/i.test(text);
    if (status === '200' && /\r\ntransfer-encoding: *chunked\r\n/i.test(text)) {
      this.#state = 'frame';
      this.#need = { kind: 'bytes', length: FIRST_FRAME_BYTES };
      return;
    }
    const length = Number(/\r\ncontent-length: *(\d{1,6})\r\n/i.exec(text)?.[1] ?? Number.NaN);
    if (status === undefined || !(length <= peerErrorMaxBytes)) {
      this.#corrupt('its answer is not one of a peer');
      return;
    }
    this.#state = 'refusal';
    this.#need = { kind: 'bytes', length };
  }

  takeBytes(bytes: Buffer): void {
    if (this.#state === 'refusal') this.#done({ kind: 'error', text: bytes.toString('utf8') });
    else if (this.#state === 'frame') this.#takeFrameHead(bytes);
    else if (this.#state === 'payload') this.#takePayload(bytes);
    else if (bytes.toString('latin1') === ANSWER_END) this.#done(this.#failed);
    else this.#corrupt('its answer does not end where it should');
  }

  #takeFrameHead(bytes: Buffer): void {
    const at = this.#frames === 0 ? 0 : CHUNK_END.length;
    const frame = parseFrameHead(bytes.subarray(at));
    if (!frame || bytes.toString('latin1', 0, at) !== CHUNK_END.slice(0, at) || frame.number !== this.#frames) {
      this.#corrupt('its answer has bytes that are no frame');
      return;
    }
    const payload = this.#payloadBytes(frame);
    if (payload === undefined || frame.chunkBytes !== this.#frameBytes(frame, payload)) {
      this.#corrupt('a frame names blocks that were not asked for');
      return;
    }
    this.#frames++;
    this.#frame = frame;
    this.#head = Buffer.from(bytes.subarray(at + CHUNK_LINE_BYTES));
    this.#state = 'payload';
    this.#need = { kind: 'bytes', length: payload + FRAME_MAC_BYTES };
  }

  /** What the chunk around a frame has to say. */
  #frameBytes(frame: FrameHead, payload: number): number {
    const blocks = frame.type === FRAME_BLOCKS ? blocksRange(frame, this.#request.sizeBytes) : { start: 0, end: 0 };
    return FRAME_HEAD_BYTES + payload + FRAME_MAC_BYTES + blocks.end - blocks.start;
  }

  /** Length of a frame's payload; `undefined` where the frame cannot be. */
  #payloadBytes(frame: FrameHead): number | undefined {
    const left = this.#request.first + this.#request.count - this.#next;
    switch (frame.type) {
      case FRAME_BLOCKS:
        return frame.first === this.#next && frame.count > 0 && frame.count <= Math.min(left, peerFrameBlocksMax)
          ? frame.count * 4
          : undefined;
      case FRAME_ERROR:
        return frame.count <= peerErrorMaxBytes ? frame.count : undefined;
      case FRAME_END:
        return left === 0 && frame.count === 0 ? 0 : undefined;
      default:
        return undefined;
    }
  }

  #takePayload(bytes: Buffer): void {
    const frame = this.#frame as FrameHead;
    if (!isFrameSigned(this.#key, this.#head, bytes)) {
      this.#corrupt('a frame is not authentic');
      return;
    }
    const payload = bytes.subarray(0, bytes.length - FRAME_MAC_BYTES);
    if (frame.type === FRAME_BLOCKS) {
      this.#checksums = Buffer.from(payload);
      this.#state = 'blocks';
      this.#needBlock();
      return;
    }
    if (frame.type === FRAME_ERROR) this.#failed = { kind: 'error', text: payload.toString('utf8') };
    this.#state = 'end';
    this.#need = { kind: 'bytes', length: ANSWER_END.length };
  }

  #needBlock(): void {
    const { start, end } = blockRange(this.#next, this.#request.sizeBytes);
    this.#need = { kind: 'block', block: this.#next, length: end - start, position: start };
  }

  /** The block that was needed came and has this CRC32. False when it is wrong: then the answer has failed. */
  takeBlock(checksum: number): boolean {
    const { first, count } = this.#frame as FrameHead;
    if (this.#checksums.readUInt32LE((this.#next - first) * 4) !== checksum) {
      this.#corrupt(`block ${this.#next} has a wrong checksum`);
      return false;
    }
    this.#next++;
    if (this.#next < first + count) {
      this.#needBlock();
    } else {
      this.#state = 'frame';
      this.#need = { kind: 'bytes', length: CHUNK_END.length + FIRST_FRAME_BYTES };
    }
    return true;
  }

  #corrupt(message: string): void {
    this.#reusable = false;
    this.#done({ kind: 'corrupt', message });
  }

  #done(failed: AnswerFailure | undefined): void {
    this.#need = { kind: 'done', reusable: this.#reusable, failed };
  }
}

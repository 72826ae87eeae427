/**
 * Frames of a data answer (docs/formats/peer.md): little-endian, each in one chunk of HTTP's chunked coding whose size
 * always has eight digits, so that a receiver knows how many bytes to ask the kernel for. A frame's MAC covers its head
 * and payload (the blocks' checksums), the request it answers and its number: no frame can be replayed or moved.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

export const FRAME_BLOCKS = 1;
export const FRAME_ERROR = 2;
export const FRAME_END = 3;

/** A chunk's size and line end. */
export const CHUNK_LINE_BYTES = 10;
export const FRAME_HEAD_BYTES = 16;
export const FRAME_MAC_BYTES = 32;
/** After a frame's last byte. */
export const CHUNK_END = '\r\n';
/** After the last frame: the end of its chunk and the empty chunk. */
export const ANSWER_END = '\r\n0\r\n\r\n';

export interface FrameKey {
  readonly key: Uint8Array;
  /** MAC of the request that is answered. */
  readonly request: Uint8Array;
}

export interface FrameHead {
  readonly type: number;
  /** Of the answer's frames, from 0. */
  readonly number: number;
  /** First block. */
  readonly first: number;
  /** Blocks, or bytes of an error's text. */
  readonly count: number;
}

/** The chunk's line, the frame's head, payload and MAC; `bytesAfter` bytes of blocks follow. */
export function frameOf(key: FrameKey, head: FrameHead, payload: Uint8Array, bytesAfter: number): Buffer {
  const length = FRAME_HEAD_BYTES + payload.length + FRAME_MAC_BYTES;
  const frame = Buffer.allocUnsafe(CHUNK_LINE_BYTES + length);
  frame.write(`${(length + bytesAfter).toString(16).padStart(8, '0')}\r\n`, 'latin1');
  const fields = [head.type, head.number, head.first, head.count];
  for (const [index, field] of fields.entries()) frame.writeUInt32LE(field, CHUNK_LINE_BYTES + index * 4);
  frame.set(payload, CHUNK_LINE_BYTES + FRAME_HEAD_BYTES);
  const signed = frame.subarray(CHUNK_LINE_BYTES, CHUNK_LINE_BYTES + FRAME_HEAD_BYTES + payload.length);
  frame.set(frameMac(key, signed), CHUNK_LINE_BYTES + FRAME_HEAD_BYTES + payload.length);
  return frame;
}

function frameMac(key: FrameKey, signed: Uint8Array): Buffer {
  return createHmac('sha256', key.key).update('forebay-1 frame\n').update(key.request).update(signed).digest();
}

/** The payload of blocks: their checksums. */
export function checksumsPayload(checksums: readonly number[]): Buffer {
  const payload = Buffer.allocUnsafe(checksums.length * 4);
  for (const [index, checksum] of checksums.entries()) payload.writeUInt32LE(checksum >>> 0, index * 4);
  return payload;
}

/** Reads a chunk's line and a frame's head; `undefined` when the bytes are something else. */
export function parseFrameHead(bytes: Buffer): (FrameHead & { readonly chunkBytes: number }) | undefined {
  const line = bytes.toString('latin1', 0, CHUNK_LINE_BYTES);
  if (!/^[0-9a-f]{8}\r\n$/.test(line)) return undefined;
  const field = (index: number) => bytes.readUInt32LE(CHUNK_LINE_BYTES + index * 4);
  return { chunkBytes: Number.parseInt(line, 16), type: field(0), number: field(1), first: field(2), count: field(3) };
}

/** Whether `rest`, payload and MAC, belongs to the head (without its chunk line) and to this answer. */
export function isFrameSigned(key: FrameKey, head: Uint8Array, rest: Uint8Array): boolean {
  const payload = rest.subarray(0, rest.length - FRAME_MAC_BYTES);
  const mac = createHmac('sha256', key.key).update('forebay-1 frame\n').update(key.request);
  return timingSafeEqual(mac.update(head).update(payload).digest(), rest.subarray(rest.length - FRAME_MAC_BYTES));
}

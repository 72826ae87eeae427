/**
 * The head of a data request (docs/formats/peer.md): a GET with a range, signed with the connection key. Made by the
 * asker, read by the holder; anything unusual is malformed.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { BLOCK_SIZE_BYTES, blockCount, blocksRange } from '../../core/chunk.ts';
import { parseContentId } from '../../core/ids.ts';
import type { BlockRequest } from '../peers.ts';

export interface Signed {
  readonly keyId: string;
  readonly counter: number;
  /** HMAC-SHA256 over everything that the request says. */
  readonly mac: Buffer;
}

export interface DataRequest {
  readonly node: string;
  readonly cluster: string;
  readonly blocks: BlockRequest;
  /** As they stand in the head: what is signed. */
  readonly path: string;
  readonly range: string;
  readonly signed: Signed;
}

export interface ConnectionKey {
  readonly id: string;
  readonly key: Buffer;
}

export interface AskOptions {
  readonly key: ConnectionKey;
  readonly counter: number;
  readonly node: string;
  readonly cluster: string;
  readonly host: string;
}

export interface Ask {
  readonly head: Buffer;
  /** Binds the answer to this request. */
  readonly mac: Buffer;
}

/** The head of a request for `blocks`. Names are percent-encoded, so that a head is ASCII and has no lines of theirs. */
export function askOf(blocks: BlockRequest, { key, counter, node, cluster, host }: AskOptions): Ask {
  const { start, end } = blocksRange(blocks, blocks.sizeBytes);
  const path = `/v1/blocks/${blocks.content}?size=${blocks.sizeBytes}`;
  const range = `bytes=${start}-${end - 1}`;
  const mac = macOf(key.key, { keyId: key.id, counter, node, cluster, path, range });
  const lines = [
    `GET ${path} HTTP/1.1`,
    `Host: ${host}`,
    `Range: ${range}`,
    `X-Forebay-Node: ${encodeURIComponent(node)}`,
    `X-Forebay-Cluster: ${encodeURIComponent(cluster)}`,
    `Authorization: Forebay-1 key=${key.id}, counter=${counter}, mac=${mac.toString('hex')}`,
  ];
  return { head: Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), mac };
}

interface SignedParts {
  readonly keyId: string;
  readonly counter: number;
  readonly node: string;
  readonly cluster: string;
  readonly path: string;
  readonly range: string;
}

function macOf(key: Buffer, { keyId, counter, node, cluster, path, range }: SignedParts): Buffer {
  const names = [encodeURIComponent(node), encodeURIComponent(cluster)];
  const text = ['forebay-1 request', keyId, counter, ...names, path, range].join('\n');
  return createHmac('sha256', key).update(text).digest();
}

/** Whether the request was signed with `key`, compared in constant time. */
export function isSignedWith(request: DataRequest, key: Buffer): boolean {
  return timingSafeEqual(macOf(key, { ...request, ...request.signed }), request.signed.mac);
}

const REQUEST_LINE = /^([A-Z]+) (\/[!-~]*) HTTP\/1\.1$/;
const PATH = /^\/v1\/blocks\/([0-9a-f]{32})\?size=(0|[1-9]\d{0,15})$/;
const RANGE = /^bytes=(0|[1-9]\d{0,15})-(0|[1-9]\d{0,15})$/;
const AUTHORIZATION = /^Forebay-1 key=([0-9a-f]{32}), counter=(0|[1-9]\d{0,14}), mac=([0-9a-f]{64})$/;
const HEADER = /^([!-9;-~]+): ?([ -~]*)$/;

export type ReadHead = DataRequest | { readonly malformed: string; readonly isData: boolean };

/** Reads a whole head, without the empty line that ends it: one character per byte. */
export function parseDataRequest(head: string): ReadHead {
  const [line = '', ...rest] = head.split('\r\n');
  const requested = REQUEST_LINE.exec(line);
  const [, method, target = ''] = requested ?? [];
  const isData = target.startsWith('/v1/blocks/');
  const malformed = (why: string) => ({ malformed: why, isData });
  if (!requested) return malformed('this is not HTTP/1.1');
  if (method !== 'GET') return malformed('data requests are GETs');
  const path = PATH.exec(target);
  if (!path) return malformed('the path is /v1/blocks/CONTENT?size=BYTES');
  const headers = headersOf(rest);
  if (typeof headers === 'string') return malformed(headers);
  if (headers.has('content-length') || headers.has('transfer-encoding')) return malformed('a data request has no body');
  const blocks = blocksOf(path, headers.get('range') ?? '');
  if (typeof blocks === 'string') return malformed(blocks);
  const authorized = AUTHORIZATION.exec(headers.get('authorization') ?? '');
  if (!authorized) return malformed('Authorization is "Forebay-1 key=…, counter=…, mac=…"');
  const node = decoded(headers.get('x-forebay-node'));
  const cluster = decoded(headers.get('x-forebay-cluster'));
  if (node === undefined || cluster === undefined)
    return malformed('X-Forebay-Node and X-Forebay-Cluster name whom it is for');
  const [, keyId = '', counter, mac = ''] = authorized;
  const signed = { keyId, counter: Number(counter), mac: Buffer.from(mac, 'hex') };
  return { node, cluster, blocks, path: target, range: headers.get('range') as string, signed };
}

function headersOf(lines: readonly string[]): Map<string, string> | string {
  const headers = new Map<string, string>();
  for (const line of lines) {
    const match = HEADER.exec(line);
    if (!match) return 'a header is not one';
    const name = (match[1] as string).toLowerCase();
    if (headers.has(name)) return `${name} is there twice`;
    headers.set(name, match[2] as string);
  }
  return headers;
}

function blocksOf(path: RegExpExecArray, range: string): BlockRequest | string {
  const content = parseContentId(path[1] as string);
  const sizeBytes = Number(path[2]);
  const asked = RANGE.exec(range);
  if (content === undefined || !Number.isSafeInteger(sizeBytes)) return 'content and size are wrong';
  if (!asked) return 'Range is "bytes=FIRST-LAST"';
  const start = Number(asked[1]);
  const end = Number(asked[2]) + 1;
  const whole = end === sizeBytes || (end < sizeBytes && end % BLOCK_SIZE_BYTES === 0);
  if (start % BLOCK_SIZE_BYTES !== 0 || start >= end || !whole) return 'Range covers whole blocks of the content';
  const first = start / BLOCK_SIZE_BYTES;
  return { content, sizeBytes, first, count: blockCount(end) - first };
}

function decoded(text: string | undefined): string | undefined {
  try {
    return text === undefined || text === '' ? undefined : decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/**
 * GetObject and HeadObject.
 *
 * A hot object is answered before this returns, from memory, in one write. Otherwise the first piece is in hand before
 * the head of the answer leaves, so an origin that fails still gets its status through, and a version that changed is
 * opened anew (`reopenMax`); after that the only honest end is a destroyed connection.
 */
import { assert } from '../../core/assert.ts';
import { ForebayError, isForebayError } from '../../core/errors.ts';
import { reopenMax } from '../../core/limits.ts';
import type { ObjectFact } from '../../core/object.ts';
import type { Range } from '../../core/range.ts';
import type { OpenObject } from '../../read/reader.ts';
import { hasQuery, queryValue } from '../http/query.ts';
import { sendPieces } from '../http/send-pieces.ts';
import { parseRange } from './byte-range.ts';
import { evaluate, isRangeValid } from './conditions.ts';
import { hasOverrides, objectHeaders } from './object-headers.ts';
import { answerError } from './s3-error.ts';
import type { S3Request } from './s3-request.ts';

/** What to answer for one version. */
interface Plan {
  readonly status: 200 | 206;
  readonly headers: readonly string[];
  readonly range: Range;
}

export function getObject(request: S3Request): void | Promise<void> {
  const { exchange, bucket, key, parts } = request;
  if (exchange.method === 'HEAD' && parts.volumes.get(bucket)?.volume.kv !== undefined) return headValue(request);
  const object = parts.reader.openHot(bucket, key);
  if (object === undefined) return openAndSend(request);
  try {
    const isHead = exchange.method === 'HEAD';
    const hot = isHead ? undefined : object.hot;
    if (hot === undefined && !isHead) return openAndSend(request);
    const plan = planAnswer(request, object);
    if (plan === undefined) return;
    if (hot === undefined) sendHead(request, plan);
    else sendHot(request, plan, hot);
  } finally {
    object.close();
  }
}

/** What it answers stays for a while: clients that see a hit come to get it (S-10). */
async function headValue(request: S3Request): Promise<void> {
  const { exchange, bucket, key, parts } = request;
  assert(parts.reader.head !== undefined, 'a door with kv volumes has a reader of them');
  const fact = await parts.reader.head(bucket, key, exchange.signal);
  const plan = planAnswer(request, { fact, stale: false });
  if (plan !== undefined) sendHead(request, plan);
}

async function openAndSend(request: S3Request): Promise<void> {
  const { exchange, bucket, key, parts } = request;
  for (let attempt = 1; ; attempt++) {
    const object = await parts.reader.open(bucket, key, exchange.signal);
    try {
      const plan = planAnswer(request, object);
      if (plan === undefined) return;
      const isEmpty = exchange.method === 'HEAD' || plan.range.start === plan.range.end;
      const hot = isEmpty ? undefined : object.hot;
      if (isEmpty) sendHead(request, plan);
      else if (hot !== undefined) sendHot(request, plan, hot);
      else
        await sendPieces(exchange, parts.network, {
          pieces: object.pieces(plan.range, exchange.signal),
          lengthBytes: plan.range.end - plan.range.start,
          begin: () => exchange.begin(plan.status, plan.headers, plan.range.end - plan.range.start),
        });
      return;
    } catch (error) {
      if (exchange.begun || attempt > reopenMax || !isForebayError(error, 'versionChanged')) throw error;
    } finally {
      object.close();
    }
  }
}

function sendHead(request: S3Request, { status, headers, range }: Plan): void {
  request.exchange.begin(status, headers, range.end - range.start);
  request.exchange.end();
}

function sendHot(request: S3Request, { status, headers, range }: Plan, bytes: Uint8Array): void {
  const isWhole = range.start === 0 && range.end === bytes.length;
  request.exchange.answer(status, headers, isWhole ? bytes : bytes.subarray(range.start, range.end));
}

/** Decides by conditions and ranges. `undefined`: it has been answered already. Throws preconditionFailed, invalidRequest. */
function planAnswer(request: S3Request, { fact, stale }: Pick<OpenObject, 'fact' | 'stale'>): Plan | undefined {
  const { exchange, query, id } = request;
  const hasQueries = query.pairs.length > 0;
  const overrides = hasQueries && hasOverrides(query) ? query : undefined;
  if (overrides !== undefined && !request.auth.signed)
    throw new ForebayError('invalidRequest', 'response- overrides are for signed requests');
  const headers = objectHeaders(fact, overrides);
  headers.push('x-amz-request-id', id);
  if (stale) headers.push('x-forebay-stale', 'true');
  const whole = { start: 0, end: fact.sizeBytes };
  if (!hasQueries && isPlain(exchange.headers)) return { status: 200, headers, range: whole };
  switch (evaluate(readConditions(request), fact)) {
    case 'failed':
      throw new ForebayError('preconditionFailed', `the object has the ETag ${fact.doorEtag}`);
    case 'notModified':
      exchange.answer(304, headers);
      return undefined;
    default:
  }
  const range = wantedRange(request, fact);
  if (range === undefined) return { status: 200, headers, range: whole };
  if (range === 'unsatisfiable') {
    const error = new ForebayError('invalidRange', `the object has ${fact.sizeBytes} bytes`);
    answerError(exchange, error, { id, resource: exchange.target }, ['Content-Range', `bytes */${fact.sizeBytes}`]);
    return undefined;
  }
  headers.push('Content-Range', `bytes ${range.start}-${range.end - 1}/${fact.sizeBytes}`);
  if (hasQueries && hasQuery(query, 'partNumber')) headers.push('x-amz-mp-parts-count', '1');
  return { status: 206, headers, range };
}

/** No condition and no range: one look instead of six. */
function isPlain(headers: readonly string[]): boolean {
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] as string;
    if (name.startsWith('if-') || name === 'range') return false;
  }
  return true;
}

function readConditions({ exchange }: S3Request) {
  return {
    ifMatch: exchange.header('if-match'),
    ifNoneMatch: exchange.header('if-none-match'),
    ifModifiedSince: exchange.header('if-modified-since'),
    ifUnmodifiedSince: exchange.header('if-unmodified-since'),
  };
}

/** An object is one part here, whatever it was uploaded in: its part 1 is all of it. */
function wantedRange(request: S3Request, fact: ObjectFact): Range | 'unsatisfiable' | undefined {
  const { exchange, query } = request;
  const header = exchange.header('range');
  const part = query.pairs.length > 0 ? queryValue(query, 'partNumber') : undefined;
  if (part !== undefined) {
    if (header !== undefined) throw new ForebayError('invalidRequest', 'Range and partNumber exclude each other');
    if (!/^\d{1,5}$/.test(part) || Number(part) < 1)
      throw new ForebayError('invalidArgument', 'partNumber must be 1 to 10,000');
    if (Number(part) > 1) return 'unsatisfiable';
    return fact.sizeBytes === 0 ? undefined : { start: 0, end: fact.sizeBytes };
  }
  return isRangeValid(exchange.header('if-range'), fact) ? parseRange(header, fact.sizeBytes) : undefined;
}

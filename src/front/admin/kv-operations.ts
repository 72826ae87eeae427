/**
 * Values of kv volumes over HTTP: `/v1/kv/<volume>/…` (docs/formats/kv-http.md).
 *
 * Keys are bytes: percent-encoded in the path and in JSON alike. The target is taken as it was sent, for parsers of URLs take `.` and
 * `..` out of paths. Values leave as bytes to be saved, whatever they claim to be: this is the origin of the console, too.
 */
import { z } from 'zod';
import { ForebayError } from '../../core/errors.ts';
import { kvBodyMaxBytes, kvKeysMax, kvLeaseMaxMs, kvLeaseMs, valueMaxBytes } from '../../core/kv-limits.ts';
import { listKeysMax } from '../../core/limits.ts';
import { parseDuration } from '../../core/quantity.ts';
import { VOLUME_NAME, type Volume } from '../../core/volume.ts';
import type { Network } from '../../io/io.ts';
import type { Kv, KvVolume, OpenValue, ValueFact } from '../../kv/kv.ts';
import { NodeExchange } from '../http/node-exchange.ts';
import { bytesOfText, percentDecode, percentEncode } from '../http/percent.ts';
import { NO_QUERY, parseQuery, type Query, queryBytes, queryValue } from '../http/query.ts';
import { httpDate } from '../http/response-head.ts';
import { sendPieces } from '../http/send-pieces.ts';
import { checkedKey, RESERVED } from '../kv/value-key.ts';
import { piecesOrMiss, valueEtag } from '../kv/value-object.ts';
import { kvVolumeOf, noSuchValue } from '../kv/value-reader.ts';
import { putValue } from '../kv/value-writer.ts';
import { parseRange } from '../s3/byte-range.ts';
import { SAFE_HEADERS, sendJson } from './answer.ts';
import { type Call, demand, type NamedOperation } from './call.ts';
import { bodyOf, checked } from './inputs.ts';
import { sentBody } from './sent-body.ts';
import { sendValues } from './value-stream.ts';

export interface KvParts {
  readonly kv: Kv;
  /** Of every kind. */
  readonly volumes: ReadonlyMap<string, { readonly volume: Volume }>;
  readonly network: Network;
}

const KEYS = z.array(z.string().min(1)).min(1).max(kvKeysMax);
const LOOKUP = z.strictObject({ keys: KEYS, leaseMs: z.number().int().min(1).max(kvLeaseMaxMs).optional() });
const GATHER = z.strictObject({ keys: KEYS });
const LIMIT = z.coerce.number().int().min(1).max(listKeysMax);
const BEGIN = '/v1/kv/';
/** Nothing of a value is for a browser to show. */
const INERT: readonly string[] = [
  ...Object.entries(SAFE_HEADERS).flat(),
  'content-type',
  'application/octet-stream',
  'content-disposition',
  'attachment',
  'content-security-policy',
  'sandbox',
  'accept-ranges',
  'bytes',
];

/** What a target names. */
interface At {
  readonly name: string;
  /** Percent-encoded; empty where the operation takes none. */
  readonly key: string;
  readonly query: Query;
}

type Run = (at: At, call: Call) => Promise<number>;

export class KvOperations {
  readonly #given: KvParts | undefined;
  readonly #ofVolume: Readonly<Record<string, { readonly method: string; readonly name: string; readonly run: Run }>> =
    {
      lookup: { method: 'POST', name: 'kv.lookup', run: (at, call) => this.#lookup(at, call) },
      get: { method: 'POST', name: 'kv.gather', run: (at, call) => this.#gather(at, call) },
      keys: { method: 'GET', name: 'kv.keys', run: (at, call) => this.#keys(at, call) },
      status: { method: 'GET', name: 'kv.status', run: (at, call) => this.#status(at, call) },
    };
  readonly #ofValue: Readonly<Record<string, { readonly name: string; readonly run: Run }>> = {
    GET: { name: 'kv.get', run: (at, call) => this.#get(at, call) },
    HEAD: { name: 'kv.head', run: (at, call) => this.#head(at, call) },
    PUT: { name: 'kv.put', run: (at, call) => this.#put(at, call) },
    DELETE: { name: 'kv.delete', run: (at, call) => this.#delete(at, call) },
  };

  constructor(given: KvParts | undefined) {
    this.#given = given;
  }

  /** The operation of a request's target as it was sent; `undefined` where it is none of these. */
  find(target: string, method: string): NamedOperation | undefined {
    if (!target.startsWith(BEGIN)) return undefined;
    const mark = target.indexOf('?');
    const path = mark < 0 ? target.slice(BEGIN.length) : target.slice(BEGIN.length, mark);
    const query = mark < 0 ? '' : target.slice(mark + 1);
    const [, name, what, key] = /^([^/]*)\/([a-z]+)(?:\/(.*))?$/s.exec(path) ?? [];
    if (name === undefined || what === undefined) return undefined;
    const at = (): At => ({ name: checkedName(name), key: key ?? '', query: checkedQuery(query) });
    if (what === 'value') {
      const found = Object.hasOwn(this.#ofValue, method) ? this.#ofValue[method] : undefined;
      if (found === undefined) return { method: 'GET, HEAD, PUT, DELETE', name: 'kv.value', run: () => 0 };
      return { method, name: found.name, run: (call) => found.run(at(), call) };
    }
    const found = key === undefined && Object.hasOwn(this.#ofVolume, what) ? this.#ofVolume[what] : undefined;
    return found && { ...found, run: (call) => found.run(at(), call) };
  }

  /** Once the caller's key may use it. Throws accessDenied, noSuchBucket. */
  #volume({ name }: At, { key }: Call, right: 'read' | 'write'): KvVolume {
    demand(key, name, right);
    const given = this.#given;
    if (given === undefined) throw new ForebayError('noSuchBucket', `there is no kv volume ${JSON.stringify(name)}`);
    const volume = kvVolumeOf(given.kv, name);
    if (right === 'write' && given.volumes.get(name)?.volume.write !== true)
      throw new ForebayError('accessDenied', `the volume ${name} is read-only`);
    return volume;
  }

  async #lookup(at: At, call: Call): Promise<number> {
    const volume = this.#volume(at, call, 'read');
    onlyQueries(at.query);
    const { keys, leaseMs = kvLeaseMs } = checked(LOOKUP, await bodyOf(call.request, kvBodyMaxBytes));
    const { leading, facts } = await volume.lookup(keys.map(keyOf), { leaseMs, signal: call.signal });
    const values = facts.map((fact) => ({ sizeBytes: fact.sizeBytes, etag: valueEtag(fact), ttlMs: ttlOf(fact) }));
    return sendJson(call.response, 200, { leading, leaseMs, values });
  }

  async #gather(at: At, call: Call): Promise<number> {
    const volume = this.#volume(at, call, 'read');
    onlyQueries(at.query);
    const { keys } = checked(GATHER, await bodyOf(call.request, kvBodyMaxBytes));
    return await sendValues(call.response, volume.getMany(keys.map(keyOf), call.signal), call.signal);
  }

  async #get(at: At, call: Call): Promise<number> {
    const volume = this.#volume(at, call, 'read');
    onlyQueries(at.query);
    const key = keyOf(at.key);
    const value = volume.openHot(key) ?? (await volume.open(key, call.signal));
    if (value === undefined) throw noSuchValue();
    try {
      return await this.#send(value, call);
    } finally {
      value.close();
    }
  }

  async #send(value: OpenValue, { request, response }: Call): Promise<number> {
    const { fact } = value;
    const wanted = parseRange(request.headers.range, fact.sizeBytes);
    if (wanted === 'unsatisfiable') {
      response.setHeader('content-range', `bytes */${fact.sizeBytes}`);
      throw new ForebayError('invalidRange', `the value has ${fact.sizeBytes} bytes`);
    }
    const range = wanted ?? { start: 0, end: fact.sizeBytes };
    const headers = [...headersOf(fact)];
    if (wanted) headers.push('content-range', `bytes ${range.start}-${range.end - 1}/${fact.sizeBytes}`);
    const status = wanted ? 206 : 200;
    const exchange = new NodeExchange(request, response, false);
    const { hot } = value;
    const lengthBytes = range.end - range.start;
    if (lengthBytes === 0) exchange.answer(status, headers);
    else if (hot !== undefined) exchange.answer(status, headers, hot.subarray(range.start, range.end));
    else
      await sendPieces(exchange, (this.#given as KvParts).network, {
        pieces: piecesOrMiss(value, range, exchange.signal),
        lengthBytes,
        begin: () => exchange.begin(status, headers, lengthBytes),
      });
    return lengthBytes;
  }

  /** A yes is a promise, as a lookup's. */
  async #head(at: At, call: Call): Promise<number> {
    const volume = this.#volume(at, call, 'read');
    onlyQueries(at.query);
    const { facts } = await volume.lookup([keyOf(at.key)], { signal: call.signal });
    const fact = facts[0];
    if (fact === undefined) throw noSuchValue();
    const exchange = new NodeExchange(call.request, call.response, false);
    exchange.begin(200, headersOf(fact), fact.sizeBytes);
    exchange.end();
    return 0;
  }

  async #put(at: At, call: Call): Promise<number> {
    const volume = this.#volume(at, call, 'write');
    onlyQueries(at.query, 'ttl');
    const { request, response, signal } = call;
    const ttl = ttlWish(queryValue(at.query, 'ttl'));
    const ifNoneMatch = request.headers['if-none-match'];
    if (ifNoneMatch !== undefined && ifNoneMatch !== '*')
      throw new ForebayError('invalidArgument', 'If-None-Match on a put must be *');
    const condition = ifNoneMatch === undefined ? {} : { condition: { ifNoneMatch } as const };
    const body = sentBody(request, valueMaxBytes);
    const fact = await putValue(volume, { key: keyOf(at.key), body, ...ttl, ...condition, signal });
    return sendJson(response, 200, { sizeBytes: fact.sizeBytes, etag: valueEtag(fact), ttlMs: ttlOf(fact) });
  }

  async #delete(at: At, call: Call): Promise<number> {
    const volume = this.#volume(at, call, 'write');
    onlyQueries(at.query);
    return sendJson(call.response, 200, { deleted: await volume.delete([keyOf(at.key)], call.signal) });
  }

  async #keys(at: At, call: Call): Promise<number> {
    const volume = this.#volume(at, call, 'read');
    onlyQueries(at.query, 'prefix', 'after', 'limit');
    const limit = checked(LIMIT, queryValue(at.query, 'limit') ?? listKeysMax);
    const after = queryBytes(at.query, 'after');
    const prefix = queryBytes(at.query, 'prefix') ?? '';
    const page = await volume.list({ prefix, limit, ...(after !== undefined && { after }) }, call.signal);
    const shown = page.keys.filter(({ key }) => !key.startsWith(RESERVED));
    return sendJson(call.response, 200, {
      keys: shown.map(({ key, fact }) => ({
        key: percentEncode(key, true),
        sizeBytes: fact.sizeBytes,
        etag: valueEtag(fact),
        ttlMs: ttlOf(fact),
        modifiedMs: fact.modifiedMs,
      })),
      ...(page.next !== undefined && { next: percentEncode(page.keys.at(-1)?.key ?? page.next, true) }),
    });
  }

  async #status(at: At, call: Call): Promise<number> {
    const volume = this.#volume(at, call, 'read');
    onlyQueries(at.query);
    const { write, kv } = (this.#given as KvParts).volumes.get(at.name)?.volume ?? {};
    const { status } = volume;
    return sendJson(call.response, 200, {
      name: at.name,
      write,
      ...kv,
      ttlMs: kv && finite(kv.ttlMs),
      ...status,
      clusterValues: await volume.count(call.signal),
    });
  }
}

function checkedName(name: string): string {
  if (!VOLUME_NAME.test(name)) throw new ForebayError('invalidArgument', 'the path names no volume');
  return name;
}

function checkedQuery(text: string): Query {
  const query = text === '' ? NO_QUERY : parseQuery(text);
  if (query === undefined) throw new ForebayError('invalidUri', 'the query has a malformed % escape');
  return query;
}

/** Throws invalidUri, keyTooLong, invalidArgument. */
function keyOf(encoded: string): string {
  const bytes = percentDecode(bytesOfText(encoded));
  if (bytes === undefined) throw new ForebayError('invalidUri', 'a key has a malformed % escape');
  return checkedKey(bytes);
}

/** Throws invalidArgument for parameters that would change nothing, and for one that comes twice. */
function onlyQueries({ pairs }: Query, ...known: readonly string[]): void {
  const names = pairs.filter((_, index) => index % 2 === 0);
  for (const [index, name] of names.entries()) {
    if (!known.includes(name))
      throw new ForebayError('invalidArgument', `there is no parameter ${JSON.stringify(name.slice(0, 100))} here`);
    if (names.indexOf(name) !== index) throw new ForebayError('invalidArgument', `${name} is given twice`);
  }
}

/** JSON has no infinity. */
function finite(ms: number): number | null {
  return Number.isFinite(ms) ? ms : null;
}

function ttlOf({ remainingMs }: ValueFact): number | null {
  return finite(Math.max(0, Math.ceil(remainingMs)));
}

function ttlWish(text: string | undefined): { ttlMs?: number } {
  if (text === undefined) return {};
  const ttlMs = text === 'never' ? Number.POSITIVE_INFINITY : parseDuration(text);
  if (ttlMs === undefined || ttlMs <= 0)
    throw new ForebayError(
      'invalidArgument',
      `ttl must be a duration as 30s or 24h, or never, not ${JSON.stringify(text)}`,
    );
  return { ttlMs };
}

function headersOf(fact: ValueFact): readonly string[] {
  const headers = [...INERT, 'etag', valueEtag(fact), 'last-modified', httpDate(fact.modifiedMs)];
  if (Number.isFinite(fact.remainingMs))
    headers.push('x-forebay-ttl-ms', String(Math.max(0, Math.floor(fact.remainingMs))));
  return headers;
}

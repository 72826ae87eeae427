/**
 * For tests: an S3 door that listens on a free port, over a reader and a writer that keep objects in a map. They hold
 * to the contracts of `read/reader.ts` and `write/writer.ts` and count what they hand out, so that leaks show.
 */
import { hash, randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { ForebayError } from '../../core/errors.ts';
import { originContentId } from '../../core/ids.ts';
import type { ObjectFact } from '../../core/object.ts';
import type { Range } from '../../core/range.ts';
import type { Volume } from '../../core/volume.ts';
import type { Clock, File, Network, Random } from '../../io/io.ts';
import type { Event } from '../../observe/events.ts';
import type { Listing, ListRequest, OpenObject, Piece, Reader } from '../../read/reader.ts';
import type { PartInfo, Target, WriteAttributes, WriteBody, WriteCondition, Writer } from '../../write/writer.ts';
import type { AccessKey, Credentials } from '../credentials.ts';
import { createS3Door } from './s3-door.ts';

export const KEY: AccessKey = {
  id: 'FOREBAYTEST',
  secret: 'a-secret/of+tests',
  volumes: ['*'],
  rights: ['read', 'write'],
};
export const READ_KEY: AccessKey = { id: 'READONLY', secret: 'another-secret', volumes: ['models'], rights: ['read'] };

interface Stored {
  readonly fact: ObjectFact;
  readonly bytes: Uint8Array;
}

interface Upload {
  readonly target: Target;
  readonly attributes: WriteAttributes;
  readonly parts: Map<number, { info: PartInfo; bytes: Uint8Array }>;
}

function volumeOf(name: string, write: boolean): Volume {
  return {
    name,
    origin: 'memory:',
    write,
    revalidateMs: 60_000,
    staleIfErrorMs: Number.POSITIVE_INFINITY,
    chunkSizeBytes: 16 << 20,
    verify: 'arrival',
  };
}

/** Bytes that show when one is misplaced: a ramp modulo a prime. */
export function ramp(lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  for (let index = 0; index < lengthBytes; index++) bytes[index] = index % 251;
  return bytes;
}

/** A clock whose wall can be moved and whose sleeps can be hurried. */
export class TestClock implements Clock {
  readonly bootId = 'test';
  skewMs = 0;
  /** Real milliseconds per millisecond slept. */
  pace = 1;
  /** Added to the boot time, as if it had passed. */
  passedMs = 0;

  boottimeMs(): number {
    return performance.now() + this.passedMs;
  }

  wallMs(): number {
    return Date.now() + this.skewMs;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    await sleep(ms * this.pace, undefined, { ref: false, ...(signal === undefined ? {} : { signal }) });
  }
}

class MemoryFile {
  readonly path = '/memory';
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  async read(at: number, lengthBytes: number): Promise<Uint8Array> {
    return this.#bytes.subarray(at, at + lengthBytes);
  }
}

/** Sends by writes, as the portable path does. */
const network: Network = {
  path: 'portable',
  async listen(server, address) {
    server.listen(address.port, address.host);
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  },
  async sendFile({ connection, file, range, signal }) {
    const piece = 64 * 1024;
    for (let at = range.start; at < range.end; at += piece) {
      signal?.throwIfAborted();
      const bytes = await file.read(at, Math.min(piece, range.end - at));
      await new Promise<void>((resolve, reject) => {
        connection.write(bytes, (error) => (error ? reject(error) : resolve()));
      });
    }
  },
  receiveInto: () => Promise.reject(new Error('the writer here reads streams')),
};

const random: Random = {
  bytes: (length) => randomBytes(length),
  integer: (bound) => randomInt(bound),
  fraction: () => randomInt(1 << 30) / (1 << 30),
};

class MapVolume {
  readonly objects = new Map<string, Stored>();
  readonly uploads = new Map<string, Upload>();
  /** Objects below this are hot; larger ones leave as pieces. */
  hotMaxBytes = 32 * 1024;
  pieceBytes = 1 << 20;
  /** Open objects and pieces not yet given back. */
  open = 0;
  pieces = 0;
  /** Called before each piece after the first is handed out, and may throw. */
  beforePiece: (index: number, key: string) => void | Promise<void> = () => {};
  beforeComplete: () => Promise<void> = async () => {};
  stale = false;
  #versions = 0;

  put(target: Target, bytes: Uint8Array, attributes: Partial<WriteAttributes> = {}): ObjectFact {
    const etag = `"${hash('sha256', bytes).slice(0, 16)}${++this.#versions}"`;
    const content = originContentId({ ...target, etag });
    const fact: ObjectFact = {
      volume: target.volume,
      key: target.key,
      sizeBytes: bytes.length,
      etag,
      modifiedMs: Date.now(),
      headers: attributes.headers ?? {},
      metadata: attributes.metadata ?? {},
      content,
      doorEtag: `"${content}-1"`,
      checkedMs: 0,
    };
    this.objects.set(`${target.volume}/${target.key}`, { fact, bytes });
    return fact;
  }

  stored(target: Target): Stored {
    const stored = this.objects.get(`${target.volume}/${target.key}`);
    if (stored === undefined) throw new ForebayError('noSuchKey', 'no such object');
    return stored;
  }

  check(target: Target, condition: WriteCondition | undefined): void {
    const { fact } = this.objects.get(`${target.volume}/${target.key}`) ?? {};
    const isMet =
      (condition?.ifNoneMatch === undefined || fact === undefined) &&
      (condition?.ifMatch === undefined || condition.ifMatch === fact?.doorEtag || condition.ifMatch === fact?.etag);
    if (!isMet) throw new ForebayError('preconditionFailed', 'the condition does not hold');
  }

  opened(stored: Stored): OpenObject {
    const { fact, bytes } = stored;
    this.open++;
    return {
      fact,
      stale: this.stale,
      hot: bytes.length < this.hotMaxBytes ? bytes : undefined,
      pieces: (range, signal) => this.#piecesOf(stored, range, signal),
      close: () => {
        this.open--;
      },
    };
  }

  async *#piecesOf({ fact, bytes }: Stored, range: Range, signal: AbortSignal): AsyncGenerator<Piece> {
    let index = 0;
    for (let at = range.start; at < range.end; at += this.pieceBytes) {
      await this.beforePiece(index, fact.key);
      signal.throwIfAborted();
      this.pieces++;
      let isHeld = true;
      const release = () => {
        if (!isHeld) throw new Error('released twice');
        isHeld = false;
        this.pieces--;
      };
      const piece = { start: at, end: Math.min(at + this.pieceBytes, range.end) };
      const file = new MemoryFile(bytes) as unknown as File;
      if (index % 2 === 0) yield { kind: 'file', file, range: piece, release };
      else yield { kind: 'bytes', bytes: bytes.subarray(piece.start, piece.end), release };
      index++;
    }
  }

  list({ volume, prefix, delimiter, after, limit }: ListRequest): Listing {
    const all = [...this.objects.values()]
      .filter(({ fact }) => fact.volume === volume && fact.key.startsWith(prefix))
      .sort((a, b) => Buffer.compare(Buffer.from(a.fact.key), Buffer.from(b.fact.key)));
    const objects: ObjectFact[] = [];
    const prefixes: string[] = [];
    let last = '';
    for (const { fact } of all) {
      const end = delimiter === undefined ? -1 : fact.key.indexOf(delimiter, prefix.length);
      const name = end < 0 ? fact.key : fact.key.slice(0, end + (delimiter as string).length);
      if (after !== undefined && Buffer.compare(Buffer.from(name), Buffer.from(after)) <= 0) continue;
      if (name === last) continue;
      if (objects.length + prefixes.length === limit) return { objects, prefixes, next: last, stale: this.stale };
      if (end < 0) objects.push(fact);
      else prefixes.push(name);
      last = name;
    }
    return { objects, prefixes, stale: this.stale };
  }
}

async function drain(body: WriteBody): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of body.stream()) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

function readerOf(map: MapVolume): Reader {
  const absent = () => {
    throw new Error('doors do not ask for this');
  };
  return {
    async open(volume, key) {
      return map.opened(map.stored({ volume, key }));
    },
    openHot(volume, key) {
      const stored = map.objects.get(`${volume}/${key}`);
      return stored === undefined || stored.bytes.length >= map.hotMaxBytes ? undefined : map.opened(stored);
    },
    async list(request) {
      return map.list(request);
    },
    warm: absent,
    check: absent,
    evict: absent,
    pin: absent,
    explain: absent,
  };
}

function writerOf(map: MapVolume): Writer {
  const written = ({ doorEtag, modifiedMs }: ObjectFact) => ({ doorEtag, modifiedMs, level: 'origin' as const });
  const upload = (id: string): Upload => {
    const found = map.uploads.get(id);
    if (found === undefined) throw new ForebayError('noSuchUpload', 'no such upload');
    return found;
  };
  const takePart = (id: string, number: number, bytes: Uint8Array): PartInfo => {
    const info = { number, doorEtag: `"part-${hash('md5', bytes)}"`, sizeBytes: bytes.length, modifiedMs: Date.now() };
    upload(id).parts.set(number, { info, bytes });
    return info;
  };
  return {
    async put(target, body, options) {
      map.check(target, options.condition);
      const bytes = await drain(body);
      options.signal.throwIfAborted();
      return written(map.put(target, bytes, options));
    },
    async delete(target, options) {
      map.check(target, options?.ifMatch === undefined ? undefined : { ifMatch: options.ifMatch });
      map.objects.delete(`${target.volume}/${target.key}`);
    },
    async copy(source, target, options) {
      map.check(target, options.condition);
      const { fact, bytes } = map.stored(source);
      return written(map.put(target, bytes, options.attributes ?? fact));
    },
    async rename(source, target) {
      const { fact, bytes } = map.stored(source);
      map.objects.delete(`${source.volume}/${source.key}`);
      return written(map.put(target, bytes, fact));
    },
    async beginUpload(target, attributes) {
      const uploadId = randomBytes(8).toString('hex');
      map.uploads.set(uploadId, { target, attributes, parts: new Map() });
      return { uploadId };
    },
    async putPart(_target, uploadId, number, body) {
      upload(uploadId);
      return takePart(uploadId, number, await drain(body));
    },
    async copyPart(source, _target, uploadId, number) {
      const { bytes } = map.stored(source);
      const { start, end } = source.range ?? { start: 0, end: bytes.length };
      return takePart(uploadId, number, bytes.slice(start, end));
    },
    async listParts(_target, uploadId) {
      return [...upload(uploadId).parts.values()].map(({ info }) => info).sort((a, b) => a.number - b.number);
    },
    async listUploads(volume, prefix) {
      return [...map.uploads]
        .filter(([, { target }]) => target.volume === volume && target.key.startsWith(prefix))
        .map(([uploadId, { target }]) => ({ ...target, uploadId, begunMs: Date.now() }));
    },
    async completeUpload(target, uploadId, parts, { condition }) {
      const { parts: taken, attributes } = upload(uploadId);
      map.check(target, condition);
      await map.beforeComplete();
      const bytes = parts.map(({ number, doorEtag }) => {
        const part = taken.get(number);
        if (part?.info.doorEtag !== doorEtag) throw new ForebayError('invalidPart', `part ${number} is not there`);
        return part.bytes;
      });
      map.uploads.delete(uploadId);
      return written(map.put(target, Buffer.concat(bytes), attributes));
    },
    async abortUpload(_target, uploadId) {
      upload(uploadId);
      map.uploads.delete(uploadId);
    },
  };
}

export interface DoorFixture extends AsyncDisposable {
  readonly server: import('node:net').Server;
  readonly port: number;
  readonly endpoint: string;
  readonly map: MapVolume;
  readonly clock: TestClock;
  readonly events: Event[];
  readonly keys: Map<string, AccessKey>;
  /** How many connections the door holds. */
  connections(): Promise<number>;
}

/** Volumes: `models` (read-only), `data` and `other` (writable). */
export async function openDoor(
  options: { anonymous?: boolean; domain?: string; clock?: TestClock } = {},
): Promise<DoorFixture> {
  const map = new MapVolume();
  const clock = options.clock ?? new TestClock();
  const events: Event[] = [];
  const keys = new Map([KEY, READ_KEY].map((key) => [key.id, key]));
  const credentials: Credentials = {
    find: (id) => keys.get(id),
    anonymous: options.anonymous === true ? { ...KEY, id: 'anonymous' } : undefined,
  };
  const volumes = new Map(
    [volumeOf('models', false), volumeOf('data', true), volumeOf('other', true)].map((volume) => [
      volume.name,
      { volume },
    ]),
  );
  const door = createS3Door({
    reader: readerOf(map),
    writer: writerOf(map),
    volumes,
    credentials,
    network,
    clock,
    random,
    emit: (event) => events.push(event),
    ...(options.domain === undefined ? {} : { domain: options.domain }),
  });
  const port = await network.listen(door.server, { host: '127.0.0.1', port: 0 });
  return {
    port,
    server: door.server,
    endpoint: `http://127.0.0.1:${port}`,
    map,
    clock,
    events,
    keys,
    connections: () =>
      new Promise((resolve, reject) => {
        door.server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
      }),
    [Symbol.asyncDispose]: () => door.close(),
  };
}

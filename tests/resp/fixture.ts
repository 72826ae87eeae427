/** A RESP door on a free port of loopback, over kv volumes in a temporary directory and real io; and a client that sends and reads bytes as they are. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { AccessKey, Credentials } from '../../src/front/credentials.ts';
import { createRespDoor } from '../../src/front/resp/resp-door.ts';
import { createRealClock } from '../../src/io/real/clock.ts';
import { createRealDisk } from '../../src/io/real/disk.ts';
import { createRealNetwork } from '../../src/io/real/network.ts';
import type { Event } from '../../src/observe/events.ts';
import { createTestKv, type TestKv, type TestKvVolume } from '../kv-volume.ts';

export const OWNER: AccessKey = {
  id: 'owner',
  secret: 'the-secret-of-the-owner',
  volumes: ['*'],
  rights: ['read', 'write', 'admin'],
};
export const READER: AccessKey = {
  id: 'reader',
  secret: 'the-secret-of-the-reader',
  volumes: ['kv'],
  rights: ['read'],
};

/** Where values of half a gigabyte cost no disk. */
const MEMORY = '/dev/shm';

export interface RespFixture {
  readonly port: number;
  readonly kv: TestKv;
  readonly volume: TestKvVolume;
  readonly events: Event[];
  /** A connection, closed when the test ends. */
  readonly connect: () => Promise<RawClient>;
}

export interface RespFixtureOptions {
  /** Absent: every client may do everything. */
  readonly keys?: readonly AccessKey[];
  readonly volumes?: readonly string[];
  readonly readOnly?: readonly string[];
  readonly ttlMs?: number;
}

export async function respFixture(t: TestContext, options: RespFixtureOptions = {}): Promise<RespFixture> {
  const directory = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), 'forebay-resp-'));
  const events: Event[] = [];
  const emit = (event: Event) => void events.push(event);
  // Without the deadline of a cache's disk: a machine that writes much may take seconds.
  const clock = createRealClock();
  const disk = createRealDisk();
  const network = createRealNetwork({ clock, diskDeadlineMs: 60_000 });
  const kv = createTestKv({
    directory: join(directory, 'values'),
    clock,
    disk,
    ...(options.volumes && { volumes: options.volumes }),
    ...(options.ttlMs !== undefined && { ttlMs: options.ttlMs }),
  });
  const door = createRespDoor({
    kv,
    isWritable: (volume) => options.readOnly?.includes(volume) !== true,
    credentials: credentials(options.keys),
    network,
    clock,
    version: '0.0.0',
    emit,
  });
  const port = await network.listen(door.server, { host: '127.0.0.1', port: 0 });
  const clients: RawClient[] = [];
  t.after(async () => {
    for (const client of clients) client.socket.destroy();
    await door.close();
    await network.close();
    await disk.close();
    rmSync(directory, { recursive: true, force: true });
    for (const volume of kv.volumes.values())
      assert.deepEqual([volume.opened, volume.piecesOut], [0, 0], 'whatever was opened was closed');
  });
  return {
    port,
    kv,
    volume: [...kv.volumes.values()][0] as TestKvVolume,
    events,
    async connect() {
      const client = await RawClient.connect(port);
      clients.push(client);
      return client;
    },
  };
}

function credentials(keys: readonly AccessKey[] | undefined): Credentials {
  return {
    find: (id) => keys?.find((key) => key.id === id),
    anonymous: keys === undefined ? { ...OWNER, id: 'anonymous', secret: '' } : undefined,
    only: keys?.length === 1 ? keys[0] : undefined,
  };
}

/** Bytes that show when one is misplaced: a ramp modulo a prime. */
export function ramp(lengthBytes: number, from = 0): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  for (let index = 0; index < lengthBytes; index++) bytes[index] = (index + from) % 251;
  return bytes;
}

/** A request as clients write it: an array of bulk strings. */
export function request(...words: readonly (string | Uint8Array)[]): Buffer {
  const parts: Uint8Array[] = [Buffer.from(`*${words.length}\r\n`)];
  for (const word of words) {
    const bytes = typeof word === 'string' ? Buffer.from(word, 'latin1') : word;
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(parts);
}

export class RawClient {
  readonly socket: Socket;
  #pieces: Uint8Array[] = [];
  #length = 0;
  #ended = false;
  #wake: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data: Buffer) => {
      this.#pieces.push(data);
      this.#length += data.length;
      this.#wake?.();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#ended = true;
      this.#wake?.();
    });
    socket.on('end', () => {
      this.#ended = true;
      this.#wake?.();
    });
  }

  static async connect(port: number, host = '127.0.0.1'): Promise<RawClient> {
    const socket = connect({ port, host, noDelay: true });
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  send(bytes: string | Uint8Array): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** Exactly the next `length` bytes, fewer where the connection ends before. */
  async read(length: number): Promise<Buffer> {
    while (this.#length < length && !this.#ended) await this.#more();
    const all = Buffer.concat(this.#pieces);
    this.#pieces = [all.subarray(length)];
    this.#length = Math.max(0, all.length - length);
    return all.subarray(0, length);
  }

  /** All bytes up to `marker`, which is taken as well. Fails where the connection ends before. */
  async until(marker: string): Promise<string> {
    for (;;) {
      const all = Buffer.concat(this.#pieces);
      const found = all.indexOf(marker, 0, 'latin1');
      this.#pieces = [all];
      if (found >= 0) return (await this.read(found + marker.length)).toString('latin1', 0, found);
      assert.ok(!this.#ended, `the connection ended after ${show(all)}`);
      await this.#more();
    }
  }

  /** All bytes up to the end of the connection. */
  async rest(): Promise<Buffer> {
    while (!this.#ended) await this.#more();
    return this.read(this.#length);
  }

  /** Sends, and expects exactly this answer. */
  async expect(sent: string | Uint8Array, answer: string | Uint8Array, what = ''): Promise<void> {
    this.send(sent);
    const expected = typeof answer === 'string' ? Buffer.from(answer, 'latin1') : Buffer.from(answer);
    const got = await this.read(expected.length);
    if (!got.equals(expected)) assert.equal(show(got), show(expected), what);
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

const show = (bytes: Buffer) => bytes.subarray(0, 300).toString('latin1');

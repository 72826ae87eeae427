/** Nodes with one volume whose writes are held by nodes first, in front of a directory, for the tests of fan-out writes. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Fixture, fixture, VOLUME } from './fixture.ts';
import { type ClusterNode, eventually, type Settings } from './node.ts';

export const STAGED = 'work';

export interface StagedCluster {
  readonly fix: Fixture;
  readonly nodes: readonly ClusterNode[];
  /** The bytes that the origin has under a key. */
  readonly atOrigin: (key: string) => Buffer | undefined;
  readonly start: (name: string, settings?: { directory?: string; node?: Settings }) => Promise<ClusterNode>;
}

export async function stagedCluster(
  t: TestContext,
  names: readonly string[],
  settings: {
    volume?: Settings;
    node?: Settings;
    environment?: Readonly<Record<string, string>>;
    coordinator?: string;
    /** In front of the bench's origin, which may be told to misbehave; otherwise of a directory. */
    withServer?: boolean;
  } = {},
): Promise<StagedCluster> {
  const { coordinator, withServer = false } = settings;
  const fix = await fixture(t, { writable: withServer, ...(coordinator !== undefined && { coordinator }) });
  const lake = join(fix.directory, 'origin');
  mkdirSync(lake);
  const volumes = {
    [STAGED]: {
      origin: `file://${lake}`,
      write: true,
      ack: 'local',
      replicas: 2,
      revalidate: 'always',
      chunkSize: '4MiB',
      ...(withServer && { origin: `s3://${VOLUME}`, endpoint: fix.endpoint, region: 'us-east-1' }),
      ...settings.volume,
    },
  };
  const start: StagedCluster['start'] = (name, own = {}) =>
    fix.start(name, {
      volumes,
      ...(settings.environment && { environment: settings.environment }),
      ...((own.node ?? settings.node) && { node: { ...settings.node, ...own.node } }),
      ...own,
    });
  const { environment } = settings;
  const nodes = await fix.startAll(names, {
    volumes,
    ...(settings.node && { node: settings.node }),
    ...(environment && { environment }),
  });
  return {
    fix,
    nodes,
    start,
    atOrigin(key) {
      const path = join(lake, key);
      return existsSync(path) ? readFileSync(path) : undefined;
    },
  };
}

/** A ramp modulo a prime, so that a misplaced byte shows; another for each seed. */
export function ramp(sizeBytes: number, seed = 0): Buffer {
  const bytes = Buffer.allocUnsafe(sizeBytes);
  for (let at = 0; at < sizeBytes; at += 1) bytes[at] = (at * 7 + seed * 31) % 251;
  return bytes;
}

export async function put(
  node: ClusterNode,
  key: string,
  body: Buffer | string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  const sent = typeof body === 'string' ? body : new Uint8Array(body);
  const response = await fetch(node.url(`${STAGED}/${key}`), { method: 'PUT', body: sent, headers });
  const text = await response.text();
  assert.equal(response.status, 200, `${node.name}: PUT ${key}: ${text}`);
  return response;
}

export async function expectBytes(node: ClusterNode, key: string, body: Buffer | string): Promise<void> {
  const { status, bytes } = await node.get(`${STAGED}/${key}`);
  assert.equal(status, 200, `${node.name}: GET ${key}: ${bytes.toString('utf8', 0, 300)}`);
  assert.ok(bytes.equals(Buffer.from(body)), `${node.name}: GET ${key} has the bytes that were written`);
}

export interface WrittenObject {
  readonly key: string;
  readonly kind: 'dirty' | 'tombstone' | 'stub';
  readonly content?: string;
  readonly level?: 'local' | 'replicated';
  readonly replicas?: readonly string[];
}

/** What the records say, as `node` tells it. */
export async function writes(node: ClusterNode, prefix = ''): Promise<readonly WrittenObject[]> {
  const path = `/v1/writes?volume=${STAGED}&prefix=${encodeURIComponent(prefix)}`;
  const { objects } = await node.admin<{ objects: readonly WrittenObject[] }>(path);
  return objects;
}

export async function untilReplicated(node: ClusterNode, key: string): Promise<WrittenObject> {
  let found: WrittenObject | undefined;
  await eventually(`${key} is replicated`, async () => {
    found = (await writes(node, key)).find((object) => object.key === key);
    return found !== undefined && (found.level === 'replicated' || found.kind === 'stub');
  });
  return found as WrittenObject;
}

/** A PUT whose body comes when the test says so. */
export class SlowPut {
  readonly #request: ClientRequest;
  readonly answer: Promise<{ readonly status: number; readonly text: string; readonly headers: IncomingHttpHeaders }>;

  constructor(node: ClusterNode, key: string, lengthBytes: number, headers: Readonly<Record<string, string>> = {}) {
    this.#request = request(node.url(`${STAGED}/${key}`), {
      method: 'PUT',
      headers: { 'content-length': String(lengthBytes), ...headers },
    });
    this.answer = new Promise((resolve, reject) => {
      this.#request.on('error', reject);
      this.#request.on('response', (response: IncomingMessage) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(pieces).toString();
          resolve({ status: response.statusCode ?? 0, text, headers: response.headers });
        });
      });
    });
    this.answer.catch(() => undefined);
  }

  /** Resolves when the kernel has it. */
  async send(bytes: Buffer): Promise<void> {
    await new Promise<void>((resolve) => this.#request.write(bytes, () => resolve()));
  }

  end(): void {
    this.#request.end();
  }

  destroy(): void {
    this.#request.destroy();
  }
}

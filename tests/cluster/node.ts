/** One node of a real cluster, as a user starts it: `forebay up` with a configuration file, doors on free ports of loopback. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Child } from '../../bench/child.ts';
import { firstWrong } from '../../bench/pattern.ts';
import type { NodeStatus } from '../../src/front/admin/node-status.ts';
import type { ObjectState, WarmProgress } from '../../src/read/reader.ts';

export type Setting = string | number | boolean;
export type Settings = Readonly<Record<string, Setting>>;

export interface NodeOptions {
  readonly name: string;
  /** Holds the configuration and the cache; kept when the node ends. */
  readonly directory: string;
  readonly volumes: Readonly<Record<string, Settings>>;
  readonly node?: Settings;
  readonly cluster: Settings;
  /** Added to the environment of its process. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** An object of `bench/pattern.ts`. */
export interface TestObject {
  readonly key: string;
  readonly sizeBytes: number;
  readonly seed: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  /** The connection ended before the promised length. */
  readonly cut: boolean;
}

const COMMAND = join(import.meta.dirname, '..', '..', 'bin', 'forebay');
const START_MS = 120_000;

/** The daemon ended before it was ready. */
export class NodeRefused extends Error {
  override name = 'NodeRefused';
  readonly code: number | string;

  constructor(name: string, code: number | string, said: string) {
    super(`${name} ended with ${code}: ${said}`);
    this.code = code;
  }
}

const table = (name: string, settings: Settings) =>
  [`[${name}]`, ...Object.entries(settings).map(([key, value]) => `${key} = ${JSON.stringify(value)}`), ''].join('\n');

/** What a test's processes know of their surroundings: no credentials or proxies of the user's own. */
export function ownEnvironment(home: string): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(AWS|AZURE|XDG)_|_proxy$|^HOME$/i.test(name));
  return {
    ...Object.fromEntries(inherited),
    HOME: home,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    // Compiled code is shared, so that starts are quick; it holds nothing of a test's.
    NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? join(tmpdir(), 'forebay-test-compile'),
  };
}

export class ClusterNode {
  readonly name: string;
  readonly directory: string;
  readonly pid: number;
  /** `address:port` of the doors. */
  readonly doors: { readonly s3: string; readonly admin: string; readonly peer: string };
  readonly #child: Child;
  readonly #log: { text: string };

  private constructor(
    options: NodeOptions,
    { child, ready, log }: { child: Child; ready: Ready; log: { text: string } },
  ) {
    this.name = options.name;
    this.directory = options.directory;
    this.pid = ready.pid;
    this.doors = ready.doors;
    this.#child = child;
    this.#log = log;
  }

  /** Resolves when it serves. Throws NodeRefused. */
  static async start(options: NodeOptions): Promise<ClusterNode> {
    const { name, directory } = options;
    mkdirSync(directory, { recursive: true });
    const file = join(directory, 'forebay.toml');
    const text = [
      table('node', { name, cacheDir: join(directory, 'cache'), capacity: '2GiB', memory: '256MiB', ...options.node }),
      table('doors', {
        s3: '127.0.0.1:0',
        resp: '127.0.0.1:0',
        admin: '127.0.0.1:0',
        peer: '127.0.0.1:0',
        anonymous: true,
      }),
      table('cluster', options.cluster),
      ...Object.entries(options.volumes).map(([volume, settings]) => table(`volumes.${volume}`, settings)),
    ];
    writeFileSync(file, text.join('\n'), { mode: 0o600 });
    const child = await Child.start(COMMAND, ['up', '--json', '--config', file], {
      cwd: directory,
      env: { ...ownEnvironment(directory), ...options.environment },
    });
    const log = { text: '' };
    child.process.stderr?.on('data', (piece: string) => {
      log.text += piece;
    });
    const timer = setTimeout(() => child.process.kill('SIGKILL'), START_MS);
    const said: string[] = [];
    try {
      for await (const line of createInterface({ input: child.process.stdout as NodeJS.ReadableStream })) {
        if (!line.startsWith('{"ready":true')) {
          said.push(line);
          continue;
        }
        child.process.stdout?.resume();
        return new ClusterNode(options, { child, ready: JSON.parse(line) as Ready, log });
      }
      throw new NodeRefused(name, await child.ended(), [...said, log.text].join('\n'));
    } finally {
      clearTimeout(timer);
    }
  }

  /** All that it wrote to standard error. */
  get log(): string {
    return this.#log.text;
  }

  get hasEnded(): boolean {
    return this.#child.hasEnded;
  }

  /** Cache directory. */
  get cache(): string {
    return join(this.directory, 'cache');
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    if (!this.hasEnded) process.kill(this.pid, signal);
  }

  /** kill -9, with whatever it holds. */
  async kill(): Promise<void> {
    await this.#child.kill();
  }

  /** Asks it to end in good order; returns its exit code. */
  async stop(): Promise<number | string> {
    this.signal('SIGCONT');
    return this.#child.stop(30_000);
  }

  /** GETs an object, or its bytes `[start, end)`; a broken connection is an answer too. `onBytes`: how much has come so far. */
  async get(
    path: string,
    options: { range?: { start: number; end: number }; onBytes?: (bytes: number) => void; method?: string } = {},
  ): Promise<Answer> {
    const { range, onBytes, method = 'GET' } = options;
    const response = await fetch(this.url(path), {
      method,
      ...(range && { headers: { range: `bytes=${range.start}-${range.end - 1}` } }),
    });
    const pieces: Uint8Array[] = [];
    let cut = false;
    let total = 0;
    try {
      for await (const piece of response.body ?? []) {
        pieces.push(piece);
        total += piece.length;
        onBytes?.(total);
      }
    } catch {
      cut = true;
    }
    return { status: response.status, headers: response.headers, bytes: Buffer.concat(pieces), cut };
  }

  /** Where the S3 door has `volume/key`. */
  url(path: string): string {
    return `http://${this.doors.s3}/${path.split('/').map(encodeURIComponent).join('/')}`;
  }

  /** Reads the object and expects every byte to be right. */
  async expectWhole(volume: string, object: TestObject): Promise<void> {
    const response = await fetch(this.url(`${volume}/${object.key}`));
    const { status } = response;
    if (status !== 200) assert.fail(`${this.name}: ${object.key}: ${status} ${await response.text()}`);
    let at = 0;
    let wrong: number | undefined;
    for await (const piece of response.body ?? []) {
      wrong ??= firstWrong(object.seed, at, piece);
      at += piece.length;
    }
    assert.equal(at, object.sizeBytes, `${this.name}: ${object.key} is whole`);
    assert.equal(wrong, undefined, `${this.name}: ${object.key} is right in every byte`);
  }

  /** As `expectWhole`, of the bytes `[start, end)`. */
  async expectRange(volume: string, object: TestObject, range: { start: number; end: number }): Promise<void> {
    const { status, bytes } = await this.get(`${volume}/${object.key}`, { range });
    assert.equal(status, 206, `${this.name}: ${object.key}: ${bytes.toString('latin1', 0, 400)}`);
    assert.equal(bytes.length, range.end - range.start);
    assert.equal(firstWrong(object.seed, range.start, bytes), undefined, `${this.name}: ${object.key} is right`);
  }

  async post(path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
    return fetch(`http://${this.doors.admin}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      ...(signal && { signal }),
    });
  }

  /** Runs a warm and returns its last word; `onProgress` sees each. */
  async warm(body: object, options: { signal?: AbortSignal; onProgress?: (progress: WarmProgress) => void } = {}) {
    const response = await this.post('/v1/warm', body, options.signal);
    if (response.status !== 200) assert.fail(`${this.name}: warm: ${response.status} ${await response.text()}`);
    let last: WarmProgress | undefined;
    let isDone = false;
    for await (const line of createInterface({ input: linesOf(response) })) {
      const value = JSON.parse(line) as WarmProgress | { done: true } | { error: unknown };
      if ('error' in value) assert.fail(`${this.name}: warm: ${JSON.stringify(value.error)}`);
      if ('done' in value) isDone = true;
      else {
        last = value;
        options.onProgress?.(value);
      }
    }
    assert.ok(isDone && last, `${this.name}: the warm came to its end`);
    return last;
  }

  /** What is here of an object. */
  async check(volume: string, key: string): Promise<ObjectState> {
    const response = await this.post('/v1/check', { volume, key });
    const [first] = (await response.text()).split('\n');
    return JSON.parse(first as string) as ObjectState;
  }

  async status(): Promise<NodeStatus> {
    const response = await fetch(`http://${this.doors.admin}/v1/status`, { signal: AbortSignal.timeout(10_000) });
    return (await response.json()) as NodeStatus;
  }

  /** What a GET at the admin door answers. */
  async admin<T>(path: string): Promise<T> {
    const response = await fetch(`http://${this.doors.admin}${path}`, { signal: AbortSignal.timeout(10_000) });
    if (response.status !== 200) assert.fail(`${this.name}: ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  /** Names of the members, as this node sees them. */
  async members(): Promise<readonly string[]> {
    const { membership } = await this.status();
    return (membership?.members ?? []).map(({ node }) => node).sort();
  }

  /** Sum of the metric's values whose labels include these. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const text = await (await fetch(`http://${this.doors.admin}/metrics`)).text();
    let sum = 0;
    for (const line of text.split('\n')) {
      const found = /^([a-z_A-Z0-9]+)(?:\{(.*)\})? (\S+)$/.exec(line);
      if (found?.[1] !== name) continue;
      const has = Object.entries(labels).every(([label, value]) => (found[2] ?? '').includes(`${label}="${value}"`));
      if (has) sum += Number(found[3]);
    }
    return sum;
  }
}

interface Ready {
  readonly pid: number;
  readonly doors: { readonly s3: string; readonly admin: string; readonly peer: string };
}

async function* textsOf(response: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const piece of response.body ?? []) yield decoder.decode(piece, { stream: true });
}

function linesOf(response: Response): NodeJS.ReadableStream {
  return Readable.from(textsOf(response));
}

/** Asks until it holds; fails after `withinMs`, which is generous: machines that run tests are busy. */
export async function eventually(
  what: string,
  holds: () => Promise<boolean> | boolean,
  withinMs = 60_000,
): Promise<void> {
  const until = performance.now() + withinMs;
  while (!(await holds())) {
    assert.ok(performance.now() < until, `${what} within ${withinMs} ms`);
    await sleep(50);
  }
}

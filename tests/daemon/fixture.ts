/** A real daemon in front of the bench's origin, for the tests of bad days: everything real but the trouble, which is made. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Daemon, type Setting } from '../../bench/daemon.ts';
import { countRequests } from '../../bench/origin-log.ts';
import { type OriginOptions, OriginServer } from '../../bench/origin-server.ts';
import { firstWrong } from '../../bench/pattern.ts';

export const MiB = 1 << 20;
export const VOLUME = 'lake';

export interface Fixture {
  readonly origin: OriginServer;
  readonly port: number;
  readonly directory: string;
  /** Starts a daemon over the same cache; stopped (or killed) when the test ends. */
  readonly start: (settings?: StartSettings) => Promise<Daemon>;
}

export interface StartSettings {
  /** Added to the volume in front of the bench's origin; the whole volume where it names an origin of its own. */
  readonly volume?: Readonly<Record<string, Setting>>;
  readonly node?: Readonly<Record<string, Setting>>;
  readonly cacheDirectory?: string;
}

export async function fixture(t: TestContext, options: Omit<OriginOptions, 'bucket'> = {}): Promise<Fixture> {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-daemon-'));
  const origin = new OriginServer({ bucket: VOLUME, ...options });
  const endpoint = await origin.listen();
  const daemons: Daemon[] = [];
  t.after(async () => {
    for (const daemon of daemons) if (!daemon.hasEnded) await daemon.stop();
    await origin.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return {
    origin,
    port: Number(new URL(endpoint).port),
    directory,
    async start(settings = {}) {
      const daemon = await Daemon.start({
        directory,
        ...(settings.cacheDirectory !== undefined && { cacheDirectory: settings.cacheDirectory }),
        volumes: {
          [VOLUME]:
            settings.volume && 'origin' in settings.volume
              ? settings.volume
              : { origin: `s3://${VOLUME}`, endpoint, region: 'us-east-1', ...settings.volume },
        },
        node: { capacity: '4GiB', ...settings.node },
        environment: { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' },
      });
      daemons.push(daemon);
      return daemon;
    },
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** What came; shorter than promised where `cut`. */
  readonly bytes: Buffer;
  /** The connection ended before the promised length. */
  readonly cut: boolean;
}

/** GETs an object (or its bytes `[start, end)`); a broken connection is an answer too. */
export async function get(
  daemon: Daemon,
  key: string,
  range?: { start: number; end: number },
  onBytes: (total: number) => void = () => {},
): Promise<Answer> {
  const response = await fetch(`http://${daemon.s3}/${VOLUME}/${key.split('/').map(encodeURIComponent).join('/')}`, {
    ...(range && { headers: { range: `bytes=${range.start}-${range.end - 1}` } }),
  });
  const pieces: Uint8Array[] = [];
  let cut = false;
  let total = 0;
  try {
    for await (const piece of response.body ?? []) {
      pieces.push(piece);
      total += piece.length;
      onBytes(total);
    }
  } catch {
    cut = true;
  }
  return { status: response.status, headers: response.headers, bytes: Buffer.concat(pieces), cut };
}

/** Expects the whole right object. */
export async function expectWhole(
  daemon: Daemon,
  object: { key: string; sizeBytes: number; seed: number },
): Promise<Answer> {
  const answer = await get(daemon, object.key);
  assert.equal(answer.status, 200, `${object.key}: ${answer.bytes.toString('latin1', 0, 400)}`);
  assert.equal(answer.bytes.length, object.sizeBytes);
  assert.equal(firstWrong(object.seed, 0, answer.bytes), undefined, `${object.key} is right in every byte`);
  return answer;
}

/** GETs of objects that reached the origin so far. */
export const originGets = (origin: OriginServer) => countRequests(origin.requests).gets;

/** Whether the daemon says that it lives, within `withinMs`. */
export async function isHealthy(daemon: Daemon, withinMs = 1000): Promise<boolean> {
  try {
    const response = await fetch(`http://${daemon.admin}/healthz`, { signal: AbortSignal.timeout(withinMs) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

/** Asks until it holds; fails after `withinMs`. */
export async function eventually(
  what: string,
  holds: () => Promise<boolean> | boolean,
  withinMs = 20_000,
): Promise<void> {
  const until = performance.now() + withinMs;
  while (!(await holds())) {
    assert.ok(performance.now() < until, `${what} within ${withinMs} ms`);
    await sleep(50);
  }
}

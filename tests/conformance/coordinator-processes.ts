/** What every real Coordinator does for several processes: one that is killed, one that is stopped, one that hangs. */
import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Coordinator } from '../../src/io/coordinator.ts';
import type { Clock } from '../../src/io/io.ts';
import { get, increment, names, put, text, watchUntil } from './coordinator.ts';

export interface SharedCoordinator {
  /** As in the configuration. */
  readonly url: string;
  readonly clock: Clock;
  readonly ttlMs: number;
  open(): Promise<Coordinator>;
  close(): Promise<void>;
}

const CHILD = fileURLToPath(new URL('../coordinator-child.ts', import.meta.url));

class Child {
  readonly process: ChildProcessByStdio<Writable, Readable, null>;
  /** When it acted, CLOCK_BOOTTIME. */
  readonly actsMs: number[] = [];
  readonly #lines: string[] = [];
  #onLine: (() => void) | undefined;

  constructor(options: { url: string; ttlMs: number }) {
    const args = ['--disable-warning=ExperimentalWarning', CHILD, JSON.stringify(options)];
    this.process = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    createInterface(this.process.stdout).on('line', (line) => {
      if (line.startsWith('act ')) this.actsMs.push(Number(line.slice(4)));
      else this.#lines.push(line);
      this.#onLine?.();
    });
  }

  /** Resolves with the next line that is no act. */
  async line(): Promise<string> {
    while (this.#lines.length === 0) {
      await new Promise<void>((resolve) => {
        this.#onLine = resolve;
      });
    }
    return this.#lines.shift() as string;
  }

  async acts(): Promise<void> {
    const before = this.actsMs.length;
    while (this.actsMs.length === before) {
      await new Promise<void>((resolve) => {
        this.#onLine = resolve;
      });
    }
  }

  async end(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = once(this.process, 'exit');
    this.process.kill('SIGKILL');
    await ended;
  }
}

export function runCoordinatorProcesses(
  name: string,
  factory: (t: TestContext) => Promise<SharedCoordinator | undefined>,
): void {
  const on = (title: string, body: (under: SharedCoordinator, child: () => Child) => Promise<void>) =>
    void test(`${name}: ${title}`, async (t) => {
      const under = await factory(t);
      if (!under) return;
      const children: Child[] = [];
      const start = () => {
        const child = new Child(under);
        children.push(child);
        return child;
      };
      try {
        await body(under, start);
      } finally {
        await Promise.all(children.map((child) => child.end()));
        await under.close();
      }
    });

  on('the session of a process that was killed ends with its term, and not before', async (under, start) => {
    const { clock, ttlMs } = under;
    const coordinator = await under.open();
    const child = start();
    assert.equal(await child.line(), 'ready');
    const key = await get(coordinator, 'child');
    assert.ok(key);
    await child.acts();
    await child.end();
    const { modifyRevision: afterRevision } = key;
    await watchUntil(coordinator, 'child', { afterRevision, last: names('child') });
    const lastMs = child.actsMs.at(-1) as number;
    // renewed at a quarter of the term at the latest, so three quarters were left at its last act
    assert.ok(clock.boottimeMs() > lastMs + ttlMs / 2);
    assert.equal(await get(coordinator, 'child'), undefined);
  });

  on(
    'S-16: a process that was stopped for longer than its lease does not act when it goes on',
    async (under, start) => {
      const { clock, ttlMs } = under;
      const coordinator = await under.open();
      const child = start();
      assert.equal(await child.line(), 'ready');
      await child.acts();
      const afterRevision = (await get(coordinator, 'child'))?.modifyRevision ?? 0;
      child.process.kill('SIGSTOP');
      await watchUntil(coordinator, 'child', { afterRevision, last: names('child') });
      const goneMs = clock.boottimeMs();
      await clock.sleep(ttlMs / 4);
      child.process.kill('SIGCONT');
      assert.equal(await child.line(), 'lost');
      assert.equal(await child.line(), 'late sessionLost');
      assert.ok(child.actsMs.length > 0);
      for (const atMs of child.actsMs) assert.ok(atMs < goneMs, 'it acted after others saw its session end');
      assert.equal(await get(coordinator, 'late'), undefined);
    },
  );

  on('S-16: a process whose main loop hangs loses its session, though its threads run', async (under, start) => {
    const { clock, ttlMs } = under;
    const coordinator = await under.open();
    const child = start();
    assert.equal(await child.line(), 'ready');
    const afterRevision = (await get(coordinator, 'child'))?.modifyRevision ?? 0;
    child.process.stdin.write(`${ttlMs * 3}\n`);
    await watchUntil(coordinator, 'child', { afterRevision, last: names('child') });
    const goneMs = clock.boottimeMs();
    assert.equal(await child.line(), 'lost');
    for (const atMs of child.actsMs) assert.ok(atMs < goneMs, 'it acted after others saw its session end');
  });

  on('a main loop that is busy for less than the right lasts loses nothing', async (under, start) => {
    const coordinator = await under.open();
    const child = start();
    assert.equal(await child.line(), 'ready');
    for (let turn = 0; turn < 3; turn++) {
      child.process.stdin.write(`${under.ttlMs * 0.4}\n`);
      await child.acts();
      await under.clock.sleep(under.ttlMs * 0.6);
      await child.acts();
    }
    assert.ok(await get(coordinator, 'child'));
  });

  on('processes do not lose each other’s increments', async (under, start) => {
    const [coordinator, other] = [await under.open(), await under.open()];
    const children = [start(), start()];
    // two children renew sessions meanwhile
    for (const child of children) assert.equal(await child.line(), 'ready');
    await put(other, 'counter', '0');
    await Promise.all(
      [coordinator, other].map(async (client) => {
        for (let turn = 0; turn < 20; turn++) await increment(client, 'counter');
      }),
    );
    assert.equal(text((await get(coordinator, 'counter'))?.value ?? new Uint8Array()), '40');
  });
}

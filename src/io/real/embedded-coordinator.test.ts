/** The embedded coordinator does what every Coordinator does, and what only a file can get wrong. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { fails, get, put, runCoordinatorConformance } from '../../../tests/conformance/coordinator.ts';
import { runCoordinatorProcesses } from '../../../tests/conformance/coordinator-processes.ts';
import { type ErrorCode, isForebayError } from '../../core/errors.ts';
import { coordinatorHistoryMax } from '../../core/limits.ts';
import type { Coordinator } from '../coordinator.ts';
import { createRealClock } from './clock.ts';
import { openEmbeddedCoordinator } from './embedded-coordinator.ts';

function setBack(path: string): void {
  const database = new DatabaseSync(path);
  database.exec(`
    BEGIN IMMEDIATE;
    DELETE FROM entries WHERE modified > (SELECT revision - 20 FROM state);
    DELETE FROM changes WHERE revision > (SELECT revision - 20 FROM state);
    UPDATE state SET revision = revision - 20;
    COMMIT`);
  database.close();
}

for (const ffi of ['auto', 'off'] as const) {
  runCoordinatorConformance(`embedded coordinator${ffi === 'off' ? ' without FFI' : ''}`, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'forebay-coordinator-'));
    const path = join(directory, 'coordinator.sqlite');
    const clock = createRealClock({ ffi });
    const opened: Coordinator[] = [];
    return {
      clock,
      ttlMs: 1500,
      async open() {
        const coordinator = await openEmbeddedCoordinator({ path, clock, ffi });
        opened.push(coordinator);
        return coordinator;
      },
      async compact() {
        const coordinator = await openEmbeddedCoordinator({ path, clock, ffi });
        await coordinator.compact();
        await coordinator.close();
      },
      setBack: async () => setBack(path),
      async close() {
        await Promise.all(opened.map((coordinator) => coordinator.close()));
        rmSync(directory, { recursive: true, force: true });
      },
    };
  });
}

const clock = createRealClock();

function directoryFor(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-coordinator-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

runCoordinatorProcesses('embedded coordinator', async (t) => {
  const path = join(directoryFor(t), 'coordinator.sqlite');
  const opened: Coordinator[] = [];
  return {
    url: `embedded:${path}`,
    clock,
    ttlMs: 1500,
    async open() {
      const coordinator = await openEmbeddedCoordinator({ path, clock });
      opened.push(coordinator);
      return coordinator;
    },
    close: async () => void (await Promise.all(opened.map((coordinator) => coordinator.close()))),
  };
});

test('a file that is none of ours, damaged, too new or nowhere is refused by name and left as it is', async (t) => {
  const directory = directoryFor(t);
  const at = (name: string) => join(directory, name);
  const refused = async (path: string, code: ErrorCode, says: RegExp) => {
    await assert.rejects(openEmbeddedCoordinator({ path, clock }), (error: unknown) => {
      assert.ok(isForebayError(error, code), String(error));
      assert.match(error.message, says);
      assert.ok(error.message.includes(path), error.message);
      return true;
    });
  };
  await refused(at('none/coordinator.sqlite'), 'coordinatorRefused', /cannot be opened/);
  mkdirSync(at('directory'));
  await refused(at('directory'), 'coordinatorRefused', /cannot be opened/);
  writeFileSync(at('text'), 'not a database at all, but long enough to be looked at as if it were one'.repeat(100));
  await refused(at('text'), 'coordinatorRefused', /damaged/);
  const other = new DatabaseSync(at('other'));
  other.exec('CREATE TABLE theirs (a)');
  other.close();
  await refused(at('other'), 'coordinatorRefused', /something else/);
  await (await openEmbeddedCoordinator({ path: at('newer'), clock })).close();
  const newer = new DatabaseSync(at('newer'));
  newer.exec('PRAGMA user_version = 2');
  newer.close();
  await refused(at('newer'), 'formatTooNew', /format 2/);
});

test('S-15: a file that is replaced or removed under a running daemon is refused from then on', async (t) => {
  const directory = directoryFor(t);
  for (const how of ['replaced', 'removed'] as const) {
    const path = join(directory, how);
    const coordinator = await openEmbeddedCoordinator({ path, clock });
    const session = await coordinator.session({ ttlMs: 60_000 });
    await put(coordinator, 'a', '');
    if (how === 'removed') rmSync(path);
    else copyFileSync(path, `${path}.copy`);
    if (how === 'replaced') renameSync(`${path}.copy`, path);
    await new Promise((resolve) => session.lost.addEventListener('abort', resolve, { once: true }));
    await assert.rejects(put(coordinator, 'b', ''), (error: unknown) => {
      return fails('coordinatorRefused')(error) && /removed or replaced/.test(String(error));
    });
    await coordinator.close();
  }
});

test('what was acknowledged is there after the daemon is gone, and a reboot ends every session', async (t) => {
  const path = join(directoryFor(t), 'coordinator.sqlite');
  const first = await openEmbeddedCoordinator({ path, clock });
  const session = await first.session({ ttlMs: 3600_000 });
  await put(first, 'of the session', '', session.id);
  await put(first, 'lasting', 'yes');
  const rebooted = { ...clock, bootId: 'the next boot' };
  const second = await openEmbeddedCoordinator({ path, clock: rebooted });
  assert.equal(await get(second, 'of the session'), undefined);
  assert.ok(await get(second, 'lasting'));
  await Promise.all([first.close(), second.close()]);
});

test('history is bounded: a watch that is too far behind gets a snapshot', async (t) => {
  const path = join(directoryFor(t), 'coordinator.sqlite');
  const coordinator = await openEmbeddedCoordinator({ path, clock });
  const start = await put(coordinator, 'first', '');
  const total = Math.ceil(coordinatorHistoryMax * 1.3);
  for (let done = 0; done < total; done += 2000)
    await Promise.all(Array.from({ length: 2000 }, (_, index) => put(coordinator, `k${index}`, 'x')));
  const stop = new AbortController();
  for await (const event of coordinator.watch('', { afterRevision: start, signal: stop.signal })) {
    assert.equal(event.kind, 'snapshot');
    assert.equal(event.changes.length, 2001);
    stop.abort();
  }
  await coordinator.close();
  const database = new DatabaseSync(path);
  const { count } = database.prepare('SELECT count(*) AS count FROM changes').get() as { count: number };
  assert.ok(count <= coordinatorHistoryMax * 1.25 + 1, `${count} rows`);
  database.close();
});

test('a writer that holds the file for long is waited for, then the request fails in bounded time', async (t) => {
  const path = join(directoryFor(t), 'coordinator.sqlite');
  const coordinator = await openEmbeddedCoordinator({ path, clock });
  const holder = new DatabaseSync(path);
  holder.exec('BEGIN IMMEDIATE');
  await assert.rejects(put(coordinator, 'a', ''), fails('coordinatorUnavailable'));
  assert.equal(await get(coordinator, 'a'), undefined, 'reads go on');
  holder.exec('ROLLBACK');
  holder.close();
  await put(coordinator, 'a', '');
  await coordinator.close();
});

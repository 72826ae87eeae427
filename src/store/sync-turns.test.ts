import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../io/io.ts';
import { SyncTurns } from './sync-turns.ts';

/** A clock whose sleeps end when told. */
class Patience {
  readonly #sleepers = new Set<() => void>();
  readonly clock = { sleep: () => new Promise<void>((resolve) => this.#sleepers.add(resolve)) } as unknown as Clock;

  pass(): void {
    for (const wake of this.#sleepers) wake();
  }
}

/** Syncs that end when told, by name. */
function syncs(turns: SyncTurns) {
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  return {
    begun,
    ask(name: string, isCopy: boolean): Promise<void> {
      const sync = () =>
        new Promise<void>((resolve) => {
          begun.push(name);
          ends.set(name, resolve);
        });
      return turns.run(sync, { isCopy });
    },
    end(name: string): void {
      ends.get(name)?.();
    },
  };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('a few syncs run at once, own ones first, copies only while no own one runs', async () => {
  const disk = syncs(new SyncTurns(2, new Patience().clock));
  const all = [
    disk.ask('copy 1', true),
    disk.ask('own 1', false),
    disk.ask('copy 2', true),
    disk.ask('own 2', false),
    disk.ask('own 3', false),
  ];
  await turn();
  assert.deepEqual(disk.begun, ['copy 1', 'own 1']);
  disk.end('copy 1');
  await turn();
  assert.deepEqual(disk.begun.slice(2), ['own 2']);
  disk.end('own 1');
  disk.end('own 2');
  await turn();
  assert.deepEqual(disk.begun.slice(3), ['own 3']);
  disk.end('own 3');
  await turn();
  assert.deepEqual(disk.begun.slice(4), ['copy 2']);
  disk.end('copy 2');
  await Promise.all(all);
});

test('a copy that has waited for long enough takes its turn beside own syncs', async () => {
  const patience = new Patience();
  const disk = syncs(new SyncTurns(2, patience.clock));
  const all = [disk.ask('own', false), disk.ask('copy', true)];
  await turn();
  assert.deepEqual(disk.begun, ['own']);
  patience.pass();
  await turn();
  assert.deepEqual(disk.begun, ['own', 'copy']);
  disk.end('own');
  disk.end('copy');
  await Promise.all(all);
});

test('a sync that fails gives its turn to the next', async () => {
  const turns = new SyncTurns(1, new Patience().clock);
  await assert.rejects(
    turns.run(() => Promise.reject(new Error('no')), { isCopy: false }),
    /no/,
  );
  assert.equal(await turns.run(() => Promise.resolve(1), { isCopy: true }), 1);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Cluster } from '../cluster/cluster.ts';
import { type ErrorCode, ForebayError } from '../core/errors.ts';
import { detourMemoryMs, detourPeersMax, detoursServedMax } from '../core/limits.ts';
import type { Json, PeerMessage } from '../io/peers.ts';
import type { Event } from '../observe/events.ts';
import { Detours } from './detours.ts';

/** What detours need of a cluster: `nodes` members besides this one, of which those in `reaching` answer. */
function place(nodes: number, reaching: readonly string[] = []) {
  const events: Event[] = [];
  const asked: string[] = [];
  const reaches = new Set(reaching);
  let nowMs = 1000;
  const cluster = {
    self: 'self',
    members: {
      epoch: 1,
      members: ['self', ...Array.from({ length: nodes }, (_, i) => `n${i}`)].map((node) => ({ node })),
    },
    emit: (event: Event) => void events.push(event),
    clock: {
      boottimeMs: () => nowMs,
      wallMs: () => 0,
      sleep: (_ms: number, signal?: AbortSignal) =>
        new Promise<void>((_resolve, reject) => signal?.addEventListener('abort', () => reject(new Error('over')))),
    },
    async call(node: string, { key }: PeerMessage): Promise<Json> {
      asked.push(node);
      if (!reaches.has(node)) throw new ForebayError('originUnavailable', `${node} cannot reach it either`);
      return `${JSON.stringify(key)} by ${node}`;
    },
  };
  const detours = new Detours({
    cluster: cluster as unknown as Cluster,
    random: { fraction: () => 0, bytes: () => new Uint8Array(0) } as never,
  });
  return { detours, events, asked, advance: (ms: number) => (nowMs += ms) };
}

const round = {
  kind: 'head',
  message: { type: 'head.origin', key: 'k' },
  read: (answer: Json) => JSON.stringify(answer),
} as const;
const fails = (code: ErrorCode) => () => Promise.reject(new ForebayError(code, 'it fails'));

test('the origin answers: nobody else is asked', async () => {
  const { detours, asked } = place(3, ['n1']);
  assert.equal(await detours.origin('lake', async () => 'own', round), 'own');
  assert.deepEqual(asked, []);
});

test('what the origin says is passed on, also when it says no', async () => {
  const { detours, asked } = place(3, ['n1']);
  await assert.rejects(detours.origin('lake', fails('originDenied'), round), { code: 'originDenied' });
  assert.deepEqual(asked, []);
});

test('S-13: an origin that cannot be reached is asked by others, one after another, and the one that could is asked first next time', async () => {
  const { detours, asked, events } = place(3, ['n2']);
  let tries = 0;
  const own = async () => {
    tries++;
    throw new ForebayError('originUnavailable', 'no way');
  };
  assert.equal(await detours.origin('lake', own, round), JSON.stringify('"k" by n2'));
  assert.deepEqual(asked.splice(0), ['n0', 'n1', 'n2']);
  assert.equal(await detours.origin('lake', own, round), JSON.stringify('"k" by n2'));
  assert.deepEqual(asked, ['n2']);
  assert.equal(tries, 1, 'its own way is not tried again so soon');
  const codes = events.map((event) => (event.kind === 'origin.detour' ? event.code : event.kind));
  assert.deepEqual(codes, ['originUnavailable', 'originUnavailable', 'ok', 'ok']);
});

test('its own way is tried again after a while, and at once when nobody else has one', async () => {
  const { detours, advance } = place(2);
  await assert.rejects(detours.origin('lake', fails('originUnavailable'), round), /it fails/);
  assert.ok(detours.isAway('lake'));
  assert.equal(await detours.origin('lake', async () => 'own', round), 'own');
  assert.ok(!detours.isAway('lake'));
  detours.tried('lake', false);
  advance(detourMemoryMs + 1);
  assert.ok(!detours.isAway('lake'));
});

test('at most so many members are asked for one thing', async () => {
  const { detours, asked } = place(3 * detourPeersMax);
  assert.equal(await detours.ask('lake', round, { deadlineMs: 1000 }), undefined);
  assert.equal(asked.length, detourPeersMax);
  assert.equal(new Set(asked).size, detourPeersMax);
});

test('S-12: a node that has no way refuses at once, and one that has does so many things for others at a time', async () => {
  const { detours } = place(1);
  const running = Promise.withResolvers<void>();
  const served = Array.from({ length: detoursServedMax }, () => detours.serve('lake', () => running.promise));
  await assert.rejects(
    detours.serve('lake', async () => undefined),
    { code: 'overloaded' },
  );
  running.resolve();
  await Promise.all(served);
  assert.equal(await detours.serve('lake', async () => 7), 7);
  detours.tried('lake', false);
  await assert.rejects(
    detours.serve('lake', async () => 7),
    { code: 'originUnavailable' },
  );
});

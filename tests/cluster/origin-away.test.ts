import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { freePort } from '../../bench/child.ts';
import { expectMembers, expectReadOnce, fixture, MiB, originBytes, total, VOLUME } from './fixture.ts';

const HELD = { key: 'held', sizeBytes: 20 * MiB + 17, seed: 4 };
const COLD = { key: 'cold/one', sizeBytes: 25 * MiB + 19, seed: 5 };
const SMALL = { key: 'cold/small', sizeBytes: 9000, seed: 6 };

test('S-13: nodes that the origin is cut off from read what peers hold, and what nobody holds a peer brings', async (t) => {
  const { origin, start } = await fixture(t, { generated: [HELD, COLD, SMALL] });
  const nowhere = { volume: { endpoint: `http://127.0.0.1:${await freePort()}` } };
  const names = ['a', 'b', 'cut-1', 'cut-2'];
  const nodes = await Promise.all(names.map((name) => start(name, name.startsWith('cut') ? nowhere : {})));
  await expectMembers(nodes, names);
  const [a, , cut1, cut2] = nodes;
  await a!.expectWhole(VOLUME, HELD);
  await cut1!.expectWhole(VOLUME, HELD);
  expectReadOnce(origin, HELD);

  await Promise.all([cut1!.expectWhole(VOLUME, COLD), cut2!.expectWhole(VOLUME, COLD)]);
  await cut2!.expectWhole(VOLUME, SMALL);
  expectReadOnce(origin, COLD);
  expectReadOnce(origin, SMALL);
  assert.ok((await total([cut1!, cut2!], 'forebay_origin_detours_total', { what: 'chunk', code: 'ok' })) > 0);

  assert.equal((await cut1!.get(`${VOLUME}/none`)).status, 404);
  const listed = await cut1!.get(VOLUME);
  assert.equal(listed.status, 200);
  for (const { key } of [HELD, COLD, SMALL]) assert.match(listed.bytes.toString(), new RegExp(`<Key>${key}</Key>`));
});

test('S-13: a warm on all nodes ends whole where half of them cannot reach the origin, whoever is asked', async (t) => {
  const { origin, start } = await fixture(t, { generated: [HELD, COLD, SMALL] });
  const nowhere = { volume: { endpoint: `http://127.0.0.1:${await freePort()}` } };
  const names = ['a', 'b', 'cut-1', 'cut-2'];
  const nodes = await Promise.all(names.map((name) => start(name, name.startsWith('cut') ? nowhere : {})));
  await expectMembers(nodes, names);
  const done = await nodes[3]!.warm({ volume: VOLUME, prefix: '', nodes: 'all' });
  assert.deepEqual(done.failed, []);
  origin.fail({ kind: 'status', status: 503 });
  for (const node of nodes) for (const object of [HELD, COLD, SMALL]) await node.expectWhole(VOLUME, object);
  for (const object of [HELD, COLD, SMALL]) expectReadOnce(origin, object);
});

test('S-13: with the origin away for all, what one node holds all read, the rest is a clear error soon, and all is well when it is back', async (t) => {
  const { origin, endpoint, startAll } = await fixture(t, { generated: [HELD, COLD] });
  const [a, b, c] = await startAll(['a', 'b', 'c'], { volume: { revalidate: '1s' } });
  await a!.expectWhole(VOLUME, HELD);
  await origin.close();
  const from = performance.now();
  const cold = await b!.get(`${VOLUME}/${COLD.key}`);
  assert.equal(cold.status, 503, cold.bytes.toString());
  assert.ok(performance.now() - from < 60_000, 'a reader hears of it');
  await Promise.all([b!.expectWhole(VOLUME, HELD), c!.expectWhole(VOLUME, HELD)]);
  await origin.listen(Number(new URL(endpoint).port));
  await c!.expectWhole(VOLUME, COLD);
  await b!.expectWhole(VOLUME, COLD);
  assert.equal(originBytes(origin, HELD), HELD.sizeBytes);
});

test('S-13: a node to which the origin says nothing at all goes round too, and soon at once', async (t) => {
  const { origin, start, defer } = await fixture(t, { generated: [HELD, COLD, SMALL] });
  const silent = createServer(() => undefined).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const sockets = new Set<Socket>();
  silent.on('connection', (socket) => sockets.add(socket.on('error', () => undefined)));
  defer(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  const { port } = silent.address() as AddressInfo;
  const a = await start('a');
  const deaf = await start('deaf', { volume: { endpoint: `http://127.0.0.1:${port}` } });
  await expectMembers([a, deaf], ['a', 'deaf']);
  for (const object of [SMALL, COLD, HELD]) {
    const from = performance.now();
    await deaf.expectWhole(VOLUME, object);
    const tookMs = performance.now() - from;
    t.diagnostic(`${object.key} took ${Math.round(tookMs)} ms`);
    assert.ok(tookMs < 60_000);
    expectReadOnce(origin, object);
  }
  assert.ok((await deaf.metric('forebay_origin_detours_total', { code: 'ok' })) > 0);
});

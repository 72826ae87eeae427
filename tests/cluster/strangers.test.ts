import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { expectMembers, expectReadOnce, fixture, MiB, originBytes, VOLUME } from './fixture.ts';
import { eventually, NodeRefused } from './node.ts';
import { contentOf } from './owners.ts';
import { stranger } from './stranger.ts';

const OBJECT = { key: 'models/weights', sizeBytes: 20 * MiB + 5, seed: 3 };
const OTHER = { key: 'models/other', sizeBytes: 20 * MiB + 7, seed: 4 };

test('a node with another secret: it and the others say so, it reads from the origin alone, and the others are a cluster without it', async (t) => {
  const { origin, directory, start, startAll } = await fixture(t, { generated: [OBJECT, OTHER] });
  const secretFile = join(directory, 'another-secret');
  writeFileSync(secretFile, 'this is not the secret of the others\n', { mode: 0o600 });
  const [a, b] = await startAll(['a', 'b']);
  const alien = await start('alien', { cluster: { secretFile } });
  await expectMembers([a!, b!, alien], ['a', 'alien', 'b']);
  await alien.expectWhole(VOLUME, OBJECT);
  assert.equal(await alien.metric('forebay_pull_bytes_total'), 0, 'it got nothing from the others');
  await Promise.all([a!.expectWhole(VOLUME, OTHER), b!.expectWhole(VOLUME, OTHER)]);
  assert.equal(await a!.metric('forebay_pull_bytes_total', { peer: 'alien' }), 0);
  origin.reset();
  await alien.expectWhole(VOLUME, OTHER);
  assert.equal(originBytes(origin, OTHER), OTHER.sizeBytes, 'it has to read for itself what the others hold');
  origin.reset();
  await a!.expectWhole(VOLUME, OBJECT);
  await b!.expectWhole(VOLUME, OBJECT);
  expectReadOnce(origin, OBJECT);

  const troubles = async (node: typeof alien) =>
    (await node.status()).membership?.members.filter(({ trouble }) => trouble !== null) ?? [];
  assert.deepEqual((await troubles(alien)).map(({ node }) => node).sort(), ['a', 'b']);
  const [trouble] = await troubles(a!);
  assert.equal(trouble?.node, 'alien');
  assert.match(trouble?.trouble ?? '', /another cluster secret/);
  assert.match(alien.log, /"kind":"peer.estranged".*another cluster secret/);
  assert.ok((await a!.metric('forebay_peer_refusals_total', { reason: 'secret' })) >= 1);
  const done = await a!.warm({ volume: VOLUME, key: OBJECT.key, nodes: 'all' });
  assert.deepEqual(
    done.failed.map(({ message }) => /^node alien:.*another cluster secret/.test(message)),
    [true],
  );

  writeFileSync(secretFile, 'the secret that the nodes of this test share\n', { mode: 0o600 });
  await eventually('they speak with each other', async () => {
    const all = await Promise.all([a!, b!, alien].map(troubles));
    return all.flat().length === 0;
  });
  origin.reset();
  await a!.post('/v1/evict', { volume: VOLUME, prefix: '' });
  await a!.expectWhole(VOLUME, OBJECT);
  assert.equal(originBytes(origin, OBJECT), 0, 'the cluster is one again');
});

/** Sends bytes to a port and returns what comes until the other side closes. */
async function say(address: string, bytes: string | Buffer): Promise<string> {
  const [host, port] = address.split(':');
  const socket = connect(Number(port), host);
  socket.on('error', () => undefined);
  socket.write(bytes);
  return text(socket).catch(() => '');
}

test('who does not prove the secret gets nothing of a node, and is counted', async (t) => {
  const { secret, startAll } = await fixture(t, { generated: [OBJECT] });
  const [node] = await startAll(['a', 'b']);
  await node!.expectWhole(VOLUME, OBJECT);
  const { peer } = node!.doors;
  const content = contentOf(VOLUME, OBJECT);
  const refusals = (reason: string) => node!.metric('forebay_peer_refusals_total', { reason });

  const plain = await say(peer, 'POST /v1/call HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}');
  assert.match(plain, /^HTTP\/1\.1 426 /);
  assert.equal(await refusals('plain'), 1);

  const garbage = await say(peer, Buffer.from('\x00\xff garbage \r\n\r\n garbage \r\n\r\n', 'latin1'));
  assert.doesNotMatch(garbage, /^HTTP\/1\.1 200/);
  assert.ok((await refusals('malformed')) >= 1);

  const unkeyed = await say(
    peer,
    `GET /v1/data/${content}?size=${OBJECT.sizeBytes} HTTP/1.1\r\nHost: ${peer}\r\nRange: bytes=0-${MiB - 1}\r\n\r\n`,
  );
  assert.doesNotMatch(unkeyed, /^HTTP\/1\.1 200/);
  assert.ok(unkeyed.length < 2000, 'no bytes of the content');

  const tls = await say(peer, Buffer.from('16030100050100000100', 'hex'));
  assert.doesNotMatch(tls, /HTTP/);

  const guesser = await stranger(t, { secret: 'a guess at what the secret might be' });
  await assert.rejects(guesser.call(node!, { type: 'hello' }), /another cluster secret/);
  await eventually('the guess is counted', async () => (await refusals('secret')) >= 1);

  const insider = await stranger(t, { secret });
  assert.equal(await insider.call(node!, { type: 'hello' }), null);
  await assert.rejects(insider.call({ name: 'b', doors: node!.doors }, { type: 'hello' }));
  await assert.rejects(insider.call(node!, { type: 'no such thing' }), /no message of type/);
  for (const type of [
    'directory.locate',
    'directory.report',
    'directory.held',
    'head',
    'chunk.bring',
    'warm.begin',
    'broadcast.report',
    'broadcast.order',
  ])
    await assert.rejects(
      insider.call(node!, { type, items: [7], refs: 'none', volume: 3 }),
      /malformed|invalid/i,
      type,
    );
  await node!.expectWhole(VOLUME, OBJECT);
});

test('a node that defines a volume otherwise than the cluster does refuses to start, naming both', async (t) => {
  const { start, startAll } = await fixture(t, { generated: [OBJECT] });
  await startAll(['a']);
  for (const [volume, both] of [
    [{ origin: 's3://elsewhere' }, /s3:\/\/elsewhere[\s\S]*s3:\/\/lake|s3:\/\/lake[\s\S]*s3:\/\/elsewhere/],
    [{ chunkSize: '8MiB' }, /8 ?MiB[\s\S]*4 ?MiB|4 ?MiB[\s\S]*8 ?MiB|8388608[\s\S]*4194304|4194304[\s\S]*8388608/],
  ] as const)
    await assert.rejects(start('b', { volume }), (error: NodeRefused) => {
      assert.ok(error instanceof NodeRefused);
      assert.equal(error.code, 1);
      assert.match(error.message, /lake/);
      assert.match(error.message, both);
      return true;
    });
  const other = await start('c', { volume: { revalidate: '5s', endpoint: 'http://127.0.0.1:9' } });
  assert.ok(other, 'what is not its identity may differ');
});

test('two nodes with one name: the second refuses to start, the first goes on; after kill -9 the name is free again', async (t) => {
  const { directory, start, startAll } = await fixture(t, { generated: [OBJECT] });
  const [first] = await startAll(['twin', 'b']);
  await assert.rejects(start('twin', { directory: join(directory, 'second') }), (error: NodeRefused) => {
    assert.ok(error instanceof NodeRefused);
    assert.equal(error.code, 1);
    assert.match(error.message, /twin/);
    assert.match(error.message, /has this name|node\.name/);
    return true;
  });
  await first!.expectWhole(VOLUME, OBJECT);
  assert.equal((await first!.status()).membership?.mayAct, true);
  await first!.kill();
  const from = performance.now();
  const again = await start('twin', { directory: first!.directory });
  t.diagnostic(`a killed node was back after ${Math.round(performance.now() - from)} ms`);
  await again.expectWhole(VOLUME, OBJECT);
});

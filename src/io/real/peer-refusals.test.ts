/** Who is turned away, and that the others are not: strangers, wrong secrets, replays, garbage, the slow. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import * as net from 'node:net';
import { type TestContext, test } from 'node:test';
import * as tls from 'node:tls';
import { caller, fails, holderOf, pullFrom, ramp } from '../../../tests/conformance/peers-fixture.ts';
import { type ContentId, parseContentId } from '../../core/ids.ts';
import type { PeerOptions, PeerService, PeerTransport } from '../peers.ts';
import { createRealClock } from './clock.ts';
import { createRealNetwork } from './network.ts';
import { type AskOptions, askOf } from './peer-request.ts';
import { peerKeyOf } from './peer-secret.ts';
import { connectTls } from './peer-tls.ts';
import { createRealPeers, type RealPeersOptions } from './peers.ts';
import { createRealRandom } from './random.ts';

const clock = createRealClock();
const OLD = Buffer.from('the old secret of the cluster, long enough');
const NEW = Buffer.from('the new secret of the cluster, long enough');
const LOOPBACK = { host: '127.0.0.1', port: 0 };
const CONTENT = parseContentId('80000000000000000000000000000001') as ContentId;

interface Node extends PeerTransport {
  readonly node: string;
  readonly refused: string[];
}

function nodes(t: TestContext, options: Partial<RealPeersOptions> = {}) {
  const network = createRealNetwork({ clock });
  const peers = createRealPeers({ network, clock, random: createRealRandom(), ...options });
  t.after(async () => {
    await peers.close();
    await network.close();
  });
  return async (node: string, given: Partial<PeerOptions> & { service?: PeerService } = {}): Promise<Node> => {
    const refused: string[] = [];
    const transport = await peers.listen({
      node,
      cluster: 'test',
      address: LOOPBACK,
      secrets: () => [OLD],
      transport: 'plain',
      service: caller(async () => 'served'),
      onRefused: (reason) => refused.push(reason),
      ...given,
    });
    return { ...transport, node, refused };
  };
}

const call = (from: Node, to: Node) => from.call(to, { type: 'any' }, { deadlineMs: 5000 });

/** Sends bytes and gives all that comes until the other side closes. */
async function say(to: Node, bytes: string | Buffer): Promise<string> {
  const socket = net.connect(to.address.port, to.address.host);
  const pieces: Buffer[] = [];
  socket.on('data', (piece: Buffer) => pieces.push(piece));
  socket.on('error', () => {});
  socket.write(bytes);
  await once(socket, 'close');
  return Buffer.concat(pieces).toString('latin1');
}

/** Sends a request and gives the beginning of its answer; the connection stays open until the test ends. */
async function served(t: TestContext, by: Node, request: Buffer): Promise<string> {
  const socket = net.connect(by.address.port, by.address.host);
  t.after(() => socket.destroy());
  socket.write(request);
  const [first] = (await once(socket, 'data')) as [Buffer];
  return first.toString('latin1');
}

/** A connection key, asked for over control as any node would. */
async function keyOf(asker: string, holder: Node): Promise<AskOptions['key']> {
  const socket = connectTls(holder, { secrets: () => [OLD], cluster: 'test' }, 'control');
  const names = `X-Forebay-Node: ${asker}\r\nX-Forebay-To: ${holder.node}\r\n`;
  socket.write(`POST /v1/key HTTP/1.1\r\nHost: any\r\n${names}Content-Length: 2\r\nConnection: close\r\n\r\n{}`);
  const pieces: Buffer[] = [];
  for await (const piece of socket as AsyncIterable<Buffer>) pieces.push(piece);
  const text = Buffer.concat(pieces).toString();
  const { id, key } = JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4)).result;
  return { id, key: Buffer.from(key, 'base64') };
}

const BLOCKS = { content: CONTENT, sizeBytes: 5, first: 0, count: 1 };

function ask(key: AskOptions['key'], holder: Node, options: Partial<AskOptions> = {}): Buffer {
  return askOf(BLOCKS, { key, counter: 0, node: holder.node, cluster: 'test', host: 'any', ...options }).head;
}

test('a wrong secret is refused, and both sides say so', async (t) => {
  const start = nodes(t);
  const asker = await start('left', { secrets: () => [NEW] });
  const holder = await start('right');
  await assert.rejects(call(asker, holder), fails('peerRefused', /right.*secret/));
  await assert.rejects(pullFrom(asker, { node: 'right', transport: holder }, { sizeBytes: 5 }), fails('peerRefused'));
  assert.deepEqual(holder.refused, ['secret', 'secret']);
});

test('one secret does not join two clusters', async (t) => {
  const start = nodes(t);
  const asker = await start('left', { cluster: 'other' });
  const holder = await start('right');
  await assert.rejects(call(asker, holder), fails('peerRefused', /cluster name/));
  assert.deepEqual(holder.refused, ['otherCluster']);
});

test('a node that has the right name of a key, and not the key, is refused', async (t) => {
  const holder = await nodes(t)('right');
  const { identity } = peerKeyOf(OLD, 'test');
  const socket = tls.connect({
    ...holder.address,
    minVersion: 'TLSv1.3',
    ciphers: 'TLS_AES_128_GCM_SHA256',
    pskCallback: () => ({ identity, psk: Buffer.alloc(32, 7) }),
    checkServerIdentity: () => undefined,
  });
  await once(socket, 'error');
  assert.deepEqual(holder.refused, ['secret']);
});

test('a TLS client without a key is refused, and so is a server without one', async (t) => {
  const start = nodes(t);
  const holder = await start('right');
  const socket = tls.connect({ ...holder.address, rejectUnauthorized: false });
  await once(socket, 'error');
  assert.deepEqual(holder.refused, ['secret']);
  const stranger = tls.createServer({ minVersion: 'TLSv1.3' });
  stranger.on('tlsClientError', () => {});
  stranger.listen(0, '127.0.0.1');
  await once(stranger, 'listening');
  t.after(() => void stranger.close());
  const { port } = stranger.address() as net.AddressInfo;
  const to = { node: 'stranger', address: { host: '127.0.0.1', port } };
  await assert.rejects(holder.call(to, { type: 'any' }, { deadlineMs: 5000 }), fails('peerRefused'));
});

test('a secret is replaced while the cluster runs: two are accepted, the first signs, each connection reads them anew', async (t) => {
  const start = nodes(t);
  const secrets: Record<string, Buffer[]> = { left: [OLD], right: [OLD] };
  const left = await start('left', { secrets: () => secrets['left'] as Buffer[] });
  const service = holderOf(ramp(5));
  const right = await start('right', { secrets: () => secrets['right'] as Buffer[], service });
  const pull = () => pullFrom(left, { node: 'right', transport: right }, { sizeBytes: 5 });
  const fresh = () => {
    left.forget('right');
    right.forget('left');
  };
  await pull();
  for (const [of, now] of [
    ['left', [OLD, NEW]],
    ['right', [OLD, NEW]],
    ['left', [NEW, OLD]],
    ['right', [NEW, OLD]],
    ['right', [NEW]],
  ] as const) {
    secrets[of] = [...now];
    fresh();
    await pull();
  }
  secrets['left'] = [OLD];
  fresh();
  await assert.rejects(pull(), fails('peerRefused'));
  assert.deepEqual(right.refused, ['secret']);
});

test('a connection key goes with the secret under which it was asked for', async (t) => {
  const start = nodes(t);
  let secrets = [OLD, NEW];
  const holder = await start('right', { secrets: () => secrets, service: holderOf(ramp(5)) });
  const key = await keyOf('left', holder);
  assert.match(await served(t, holder, ask(key, holder)), /^HTTP\/1\.1 200 OK\r\n/);
  secrets = [NEW];
  assert.match(await say(holder, ask(key, holder, { counter: 1 })), /403.*unkeyed/s);
});

test('data requests are served once, and to the node that they are signed for', async (t) => {
  const start = nodes(t);
  const service = holderOf(ramp(5));
  const holder = await start('right', { service });
  const key = await keyOf('left', holder);
  const good = ask(key, holder);
  assert.match(await served(t, holder, good), /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(await say(holder, good), /^HTTP\/1\.1 403 .*"refused":"replayed"/s);
  assert.match(await say(holder, ask(key, holder, { counter: 1, node: 'middle' })), /"refused":"otherNode"/);
  assert.match(await say(holder, ask(key, holder, { counter: 2, cluster: 'other' })), /"refused":"otherCluster"/);
  const unknown = { id: key.id.replace(/^./, (digit) => (digit === '0' ? '1' : '0')), key: key.key };
  assert.match(await say(holder, ask(unknown, holder, { counter: 3 })), /"refused":"unkeyed"/);
  const forged = ask(key, holder, { counter: 4 }).toString().replace('size=5', 'size=4').replace('0-4', '0-3');
  assert.match(await say(holder, forged), /"refused":"unkeyed"/);
  const unsigned = good.toString().replace(/Authorization[^\r]*\r\n/, '');
  assert.match(await say(holder, unsigned), /^HTTP\/1\.1 400 .*"refused":"malformed"/s);
  assert.equal(service.asked.length, 1);
  const reasons = ['replayed', 'otherNode', 'otherCluster', 'unkeyed', 'unkeyed', 'malformed'];
  assert.deepEqual(holder.refused, reasons);
});

test('a plain connection to the control path is refused', async (t) => {
  const holder = await nodes(t)('right');
  const answer = await say(holder, 'POST /v1/call HTTP/1.1\r\nHost: right\r\nContent-Length: 2\r\n\r\n{}');
  assert.match(answer, /^HTTP\/1\.1 426 .*"refused":"plain"/s);
  assert.deepEqual(holder.refused, ['plain']);
});

test('with transport = "tls" plain data requests are refused, and peers set to plain use TLS', async (t) => {
  const start = nodes(t);
  const bytes = ramp(5);
  const holder = await start('right', { transport: 'tls', service: holderOf(bytes) });
  const asker = await start('left');
  const got = await pullFrom(asker, { node: 'right', transport: holder }, { sizeBytes: 5 });
  assert.ok(bytes.equals(got.bytes[0] as Uint8Array));
  const key = await keyOf('left', holder);
  assert.match(await say(holder, ask(key, holder)), /"refused":"plain"/);
  assert.deepEqual(holder.refused, ['plain']);
});

test('garbage is refused and disturbs nobody', async (t) => {
  const start = nodes(t);
  const [asker, holder] = [await start('left'), await start('right')];
  const random = createRealRandom();
  const garbage = [
    'GET / HTTP/1.1\r\n\r\n',
    'hello\r\n\r\n',
    `GET /${'a'.repeat(10_000)}`,
    Buffer.concat([Buffer.from([0x00]), Buffer.from(random.bytes(9000))]),
    Buffer.concat([Buffer.from([0x16]), Buffer.from(random.bytes(9000))]),
    Buffer.concat([Buffer.from([0x16, 3, 1, 0, 5, 1]), Buffer.from(random.bytes(500))]),
  ];
  for (const bytes of garbage) await say(holder, bytes);
  assert.deepEqual(
    holder.refused,
    garbage.map(() => 'malformed'),
  );
  assert.equal(await call(asker, holder), 'served');
});

test('a message for another node, and one that is no message, are refused', async (t) => {
  const start = nodes(t);
  const [asker, holder] = [await start('left'), await start('right')];
  const wrong = asker.call({ node: 'middle', address: holder.address }, { type: 'any' }, { deadlineMs: 5000 });
  await assert.rejects(wrong, fails('peerRefused', /middle.*this is right/));
  assert.deepEqual(holder.refused, ['otherNode']);
  const untyped = asker.call(holder, { kind: 'any' } as never, { deadlineMs: 5000 });
  await assert.rejects(untyped, fails('invalidRequest'));
});

test('who connects and is slow to say what it wants is cut off', async (t) => {
  const holder = await nodes(t, { handshakeMs: 300 })('right');
  for (const beginning of ['', '\x16', '\x16\x03\x01', 'GET /v1/blo', 'GET /v1/blocks/0 HTTP/1.1\r\nHost:']) {
    const socket = net.connect(holder.address.port, holder.address.host);
    socket.on('error', () => {});
    if (beginning !== '') socket.write(Buffer.from(beginning, 'latin1'));
    socket.resume();
    await once(socket, 'close');
  }
  // One byte at a time does not help.
  const socket = net.connect(holder.address.port, holder.address.host);
  socket.on('error', () => {});
  const closed = once(socket, 'close');
  let open = true;
  void closed.then(() => {
    open = false;
  });
  const drip = async () => {
    for (const letter of 'GET /v1/blocks/'.repeat(100)) {
      if (!open) return;
      socket.write(letter);
      await clock.sleep(20);
    }
  };
  socket.resume();
  await Promise.all([closed, drip()]);
  // Over TLS, with the secret, and a head that never ends.
  const control = connectTls(holder, { secrets: () => [OLD], cluster: 'test' }, 'control');
  control.on('error', () => {});
  control.write('POST /v1/call HT');
  control.resume();
  await once(control, 'close');
});

test('an asker that stops reading is cut off, and its blocks are released', async (t) => {
  const network = createRealNetwork({ clock, clientIdleMs: 300 });
  t.after(() => network.close());
  const service = holderOf(ramp(64 << 20), { runBlocks: 64 });
  const holder = await nodes(t, { network, askerIdleMs: 300 })('right', { service });
  const key = await keyOf('left', holder);
  const blocks = { content: CONTENT, sizeBytes: 64 << 20, first: 0, count: 64 };
  const { head } = askOf(blocks, { key, counter: 0, node: 'right', cluster: 'test', host: 'any' });
  const socket = net.connect(holder.address.port, holder.address.host);
  socket.on('error', () => {});
  socket.pause();
  socket.write(head);
  while (service.releases.released === 0) await clock.sleep(20);
  assert.equal(service.releases.released, service.releases.given);
  socket.destroy();
});

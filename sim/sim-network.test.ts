import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { blockRange } from '../src/core/chunk.ts';
import { ForebayError } from '../src/core/errors.ts';
import type { ContentId } from '../src/core/ids.ts';
import type { BlockRun, Json, PeerMessage, PeerService, PeerTransport, Pull } from '../src/io/peers.ts';
import { Life, SimClock, SimMachineClock } from './sim-clock.ts';
import { contentSlice } from './sim-content.ts';
import { SimDisk } from './sim-disk.ts';
import { type SimHost, SimNetwork } from './sim-network.ts';
import { SimRandom } from './sim-random.ts';
import { Trace } from './trace.ts';

const CONTENT = '80000000000000000000000000000001' as ContentId;
const MIB = 1 << 20;
const FAST = { upBytesPerMs: 100 * MIB, downBytesPerMs: 100 * MIB };
const SECRET = Buffer.from('a secret of the cluster');

interface Peer {
  readonly name: string;
  readonly host: SimHost;
  readonly life: Life;
  readonly peers: PeerTransport;
  readonly seen: PeerMessage[];
  readonly refused: string[];
  released: number;
}

function makeWorld(seed = 1) {
  const trace = new Trace();
  const random = new SimRandom(seed);
  const clock = new SimClock(random.fork('clock'), trace);
  const network = new SimNetwork({ clock, random: random.fork('network'), trace });
  const machine = new SimMachineClock(clock, random.fork('machine'));
  const faults = { latencyMs: 0.1, bytesPerMs: 10 * MIB, slowChance: 0, slowMs: 0, errorChance: 0 };
  const bounds = { capacityBytes: 1 << 28, deadlineMs: Number.POSITIVE_INFINITY, canPunch: true, canClone: true };
  const disk = new SimDisk({ clock, machine, trace, random: random.fork('disk'), faults, ...bounds });
  const within = <T>(promise: Promise<T>, ms = 120_000) => clock.settle(promise, clock.nowMs + ms);
  const start = async (
    name: string,
    service: Partial<PeerService> = {},
    as: { secret?: Uint8Array; bandwidth?: typeof FAST } = {},
  ): Promise<Peer> => {
    const host = network.host(`${name}.test`) ?? network.addHost(`${name}.test`, as.bandwidth ?? FAST);
    const life = new Life(name);
    const seen: PeerMessage[] = [];
    const refused: string[] = [];
    const peer = { name, host, life, seen, refused, released: 0 };
    const peers = await network.attach(
      host,
      life,
    )({
      node: name,
      cluster: 'test',
      address: { host: '0.0.0.0', port: 7074 },
      secrets: () => [as.secret ?? SECRET],
      transport: 'plain',
      onRefused: (reason) => refused.push(reason),
      service: {
        call: async (_from, message) => {
          seen.push(message);
          return { said: message.type };
        },
        blocks: async function* (_from, request) {
          for (let block = request.first; block < request.first + request.count; block++) {
            yield runOf(peer, block, request.sizeBytes);
          }
        },
        ...service,
      },
    });
    return Object.assign(peer, { peers });
  };
  return { clock, network, trace, disk, within, start };
}

const bytesOf = (block: number, sizeBytes: number): Uint8Array => {
  const { start, end } = blockRange(block, sizeBytes);
  return contentSlice(1, start, end - start);
};

function runOf(peer: { released: number }, block: number, sizeBytes: number): BlockRun {
  const bytes = bytesOf(block, sizeBytes);
  const release = () => void (peer.released += 1);
  return { first: block, checksums: [crc32(bytes)], source: { kind: 'bytes', bytes }, release };
}

const endpoint = (peer: Peer) => ({ node: peer.name, address: { host: peer.host.name, port: 7074 } });

const ask = (from: Peer, to: Peer, deadlineMs = 1000): Promise<Json> =>
  from.peers.call(endpoint(to), { type: 'hello' }, { deadlineMs });

const code = (expected: string) => (error: unknown) => {
  assert.ok(error instanceof ForebayError, String(error));
  assert.equal(error.code, expected, error.message);
  return true;
};

function pullOf(from: Peer, blocks: number[], more: Partial<Pull> = {}): Pull {
  return {
    from: endpoint(from),
    content: CONTENT,
    sizeBytes: 3.5 * MIB,
    first: 0,
    count: 4,
    into: undefined,
    idleMs: 1000,
    signal: new AbortController().signal,
    onBlock: (block, checksum, bytes) => {
      assert.equal(checksum, crc32(bytesOf(block, 3.5 * MIB)));
      if (bytes) assert.deepEqual(Buffer.from(bytes), Buffer.from(bytesOf(block, 3.5 * MIB)));
      blocks.push(block);
    },
    ...more,
  };
}

test('a call is answered, errors come with their code, and nobody there is peerUnreachable', async () => {
  const { within, start, network } = makeWorld();
  const a = await start('a');
  const failing = async (): Promise<Json> => {
    throw new ForebayError('overloaded', 'busy', { retryAfterMs: 7 });
  };
  const b = await start('b', { call: failing });
  assert.deepEqual(await within(ask(b, a)), { said: 'hello' });
  await assert.rejects(
    within(ask(a, b)),
    (error: ForebayError) => code('overloaded')(error) && error.retryAfterMs === 7,
  );
  network.crash(b.life, 'process');
  b.life.alive = false;
  await assert.rejects(within(ask(a, b)), code('peerUnreachable'));
  const nowhere = { node: 'c', address: { host: 'c.test', port: 1 } };
  await assert.rejects(within(a.peers.call(nowhere, { type: 'x' }, { deadlineMs: 100 })), code('peerUnreachable'));
});

test('another secret, another name and a silent host are told apart', async () => {
  const { within, start } = makeWorld();
  const a = await start('a');
  const b = await start('b', {}, { secret: Buffer.from('another') });
  await assert.rejects(within(ask(b, a)), code('peerRefused'));
  const renamed = { ...endpoint(a), node: 'z' };
  await assert.rejects(within(a.peers.call(renamed, { type: 'x' }, { deadlineMs: 100 })), code('peerRefused'));
  assert.deepEqual(a.refused, ['secret', 'otherNode']);
  a.host.isSilent = true;
  const c = await start('c');
  await assert.rejects(within(ask(c, a)), code('peerTimeout'));
  await assert.rejects(within(c.peers.pull(pullOf(a, []))), code('peerTimeout'));
});

test('a cut of one direction loses the answer, not the call; a mended one lets calls through', async () => {
  const { within, start, network } = makeWorld();
  const [a, b] = [await start('a'), await start('b')];
  network.cut('b.test', 'a.test');
  await assert.rejects(within(ask(a, b)), code('peerTimeout'));
  assert.equal(b.seen.length, 1);
  network.mend('b.test', 'a.test');
  assert.deepEqual(await within(ask(a, b)), { said: 'hello' });
});

test('calls can be lost, come twice and overtake one another', async () => {
  const { within, start, network, clock } = makeWorld(3);
  const order: number[] = [];
  const a = await start('a');
  const call = async (_from: string, message: PeerMessage): Promise<Json> => {
    order.push(message['number'] as number);
    return null;
  };
  const b = await start('b', { call });
  Object.assign(network.faults, { lossChance: 0.1, duplicateChance: 0.3, lateChance: 0.2, lateMs: 5 });
  const numbers = Array.from({ length: 50 }, (_, number) => number);
  const calls = numbers.map((number) =>
    a.peers.call(endpoint(b), { type: 'n', number }, { deadlineMs: 500 }).then(
      () => 'answered',
      (error: ForebayError) => error.code,
    ),
  );
  const outcomes = new Set(await within(Promise.all(calls)));
  await within(clock.sleep(1000));
  assert.deepEqual([...outcomes].sort(), ['answered', 'peerTimeout', 'peerUnreachable']);
  assert.ok(order.length > new Set(order).size, 'some came twice');
  assert.ok(new Set(order).size < numbers.length, 'some did not come');
  assert.notDeepEqual(
    order,
    order.toSorted((x, y) => x - y),
    'not in order',
  );
});

test('a pull brings blocks in order into a file or to the caller, and lets go of each', async () => {
  const { within, start, disk } = makeWorld();
  const [a, b] = [await start('a'), await start('b')];
  const blocks: number[] = [];
  await within(a.peers.pull(pullOf(b, blocks)));
  assert.deepEqual(blocks, [0, 1, 2, 3]);
  assert.equal(b.released, 4);
  const file = await within(disk.attach(a.life).open('/file', { create: true, write: true }));
  await within(a.peers.pull(pullOf(b, blocks, { into: file, first: 2, count: 2 })));
  assert.deepEqual(blocks.slice(4), [2, 3]);
  const tail = await within(file.read(3 * MIB, MIB));
  assert.deepEqual(Buffer.from(tail), Buffer.from(bytesOf(3, 3.5 * MIB)));
});

test('pulls share links fairly: two from one holder take twice as long, a third elsewhere does not', async () => {
  const { within, start, clock } = makeWorld();
  const slow = { bandwidth: { upBytesPerMs: MIB / 100, downBytesPerMs: MIB / 100 } };
  const [a, b, c, d] = [
    await start('a', {}, slow),
    await start('b', {}, slow),
    await start('c', {}, slow),
    await start('d', {}, slow),
  ];
  const time = async (...pulls: [Peer, Peer][]): Promise<number[]> => {
    const fromMs = clock.nowMs;
    const each = pulls.map(([to, from]) => to.peers.pull(pullOf(from, [])).then(() => clock.nowMs - fromMs));
    return within(Promise.all(each));
  };
  const near = (ms: number | undefined, expected: number) =>
    assert.ok(Math.abs((ms as number) - expected) < expected / 20, `${ms} ms, not ${expected}`);
  near((await time([a, b]))[0], 350);
  const [first, second, third] = await time([a, b], [c, b], [b, d]);
  near(first, 700);
  near(second, 700);
  near(third, 350);
});

test('S-9: a block with a wrong bit is peerCorrupt and is not reported', async () => {
  const { within, start } = makeWorld();
  const [a, b] = [await start('a'), await start('b')];
  const blocks: number[] = [];
  b.host.corruptChance = 1;
  await assert.rejects(within(a.peers.pull(pullOf(b, blocks))), code('peerCorrupt'));
  assert.deepEqual(blocks, []);
});

test('a holder that is killed resets its pulls, one without power or cut off falls silent, and runs are let go', async () => {
  for (const [kind, expected] of [
    ['process', 'peerUnreachable'],
    ['machine', 'peerTimeout'],
    ['cut', 'peerTimeout'],
  ] as const) {
    const { within, start, network, clock } = makeWorld();
    const slow = { bandwidth: { upBytesPerMs: MIB / 100, downBytesPerMs: MIB } };
    const [a, b] = [await start('a'), await start('b', {}, slow)];
    const blocks: number[] = [];
    const pulling = a.peers.pull(pullOf(b, blocks));
    clock.schedule(150, () => {
      if (kind === 'cut') return network.cut('b.test', 'a.test');
      b.life.alive = false;
      network.crash(b.life, kind);
    });
    await assert.rejects(within(pulling), code(expected));
    assert.deepEqual(blocks, [0]);
    await within(clock.sleep(60_000));
    if (kind === 'cut') assert.equal(b.released, 2);
    assert.equal(network.openExchanges(a.life), 0);
  }
});

test('a puller that gives up is told its reason at once, and the holder lets go', async () => {
  const { within, start, clock, network } = makeWorld();
  const slow = { bandwidth: { upBytesPerMs: MIB / 100, downBytesPerMs: MIB } };
  const [a, b] = [await start('a'), await start('b', {}, slow)];
  const controller = new AbortController();
  const reason = new Error('enough');
  clock.schedule(50, () => controller.abort(reason));
  await assert.rejects(within(a.peers.pull(pullOf(b, [], { signal: controller.signal }))), reason);
  assert.equal(clock.nowMs, 50);
  await within(clock.sleep(10));
  assert.equal(b.released, 1);
  assert.equal(network.openExchanges(b.life), 0);
});

test('a paused puller gets everything in order when it goes on', async () => {
  const { within, start } = makeWorld();
  const [a, b] = [await start('a'), await start('b')];
  const blocks: number[] = [];
  const pulling = a.peers.pull(pullOf(b, blocks, { idleMs: 60_000 }));
  a.life.pausedUntilMs = 5000;
  await within(pulling);
  assert.deepEqual(blocks, [0, 1, 2, 3]);
});

test('the same seed gives the same trace', async () => {
  const runs = [1, 1, 2].map(async (seed) => {
    const { within, start, network, trace } = makeWorld(seed);
    const [a, b] = [await start('a'), await start('b')];
    Object.assign(network.faults, { lossChance: 0.2, duplicateChance: 0.3, lateChance: 0.2, lateMs: 5 });
    for (let i = 0; i < 10; i++) await within(ask(a, b).catch(() => {}));
    return trace.hash();
  });
  const [first, again, other] = await Promise.all(runs);
  assert.equal(first, again);
  assert.notEqual(first, other);
});

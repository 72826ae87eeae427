/** What clients of caches send, byte by byte, and how the answers compare with those of redis-server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kvLeaseMs } from '../../src/core/kv-limits.ts';
import { OWNER, RawClient, READER, ramp, request, respFixture } from './fixture.ts';
import { startRedis } from './redis-server.ts';

const KEY = 'meta-llama/Llama-3.1-8B@1@0@5f3a9c0e@bfloat16';

test("LMCache's resp:// client: SET, GET, EXISTS and DEL in RESP2 without HELLO, byte by byte", async (t) => {
  const { connect } = await respFixture(t);
  const client = await connect();
  const value = ramp(300_000);
  await client.expect(request('EXISTS', KEY), ':0\r\n');
  await client.expect(request('GET', KEY), '$-1\r\n');
  await client.expect(request('SET', KEY, value), '+OK\r\n');
  await client.expect(request('EXISTS', KEY), ':1\r\n');
  await client.expect(request('GET', KEY), Buffer.concat([Buffer.from('$300000\r\n'), value, Buffer.from('\r\n')]));
  await client.expect(request('DEL', KEY), ':1\r\n');
  await client.expect(request('DEL', KEY), ':0\r\n');
  await client.expect(request('EXISTS', KEY), ':0\r\n');
});

test("LMCache's redis:// client: kv_bytes, then metadata of 28 bytes; EXISTS asks for the metadata and leases", async (t) => {
  const { connect, volume } = await respFixture(t);
  const client = await connect();
  const value = ramp(3 << 20);
  const metadata = ramp(28, 7);
  await client.expect(request('HELLO', '3'), /* RESP3 */ hello(3));
  await client.expect(request('CLIENT', 'SETINFO', 'LIB-NAME', 'redis-py'), '+OK\r\n');
  await client.expect(request('CLIENT', 'SETINFO', 'LIB-VER', '6.4.0'), '+OK\r\n');
  await client.expect(request('EXISTS', `${KEY}metadata`), ':0\r\n');
  await client.expect(request('SET', `${KEY}kv_bytes`, value), '+OK\r\n');
  await client.expect(request('SET', `${KEY}metadata`, metadata), '+OK\r\n');
  await client.expect(request('EXISTS', `${KEY}metadata`), ':1\r\n');
  assert.ok(volume.leasedUntilMs(`${KEY}metadata`) > 0, 'S-10: a key that EXISTS says is there is leased');
  await client.expect(request('GET', `${KEY}metadata`), bulk(metadata));
  await client.expect(request('GET', `${KEY}kv_bytes`), bulk(value));
  await client.expect(request('GET', 'no such key'), '_\r\n');
});

test("LMCache's valkey:// client: the node says role:master, and SET takes EX", async (t) => {
  const { connect } = await respFixture(t);
  const client = await connect();
  client.send(request('INFO', 'REPLICATION'));
  const info = '# Replication\r\nrole:master\r\nconnected_slaves:0\r\n';
  await client.expect('', `$${info.length}\r\n${info}\r\n`);
  await client.expect(request('SET', KEY, 'value', 'EX', '3600'), '+OK\r\n');
  await expectTtl(client, KEY, 3600);
  await client.expect(request('GET', KEY), '$5\r\nvalue\r\n');
  await client.expect(request('EXISTS', KEY), ':1\r\n');
});

test("redis-py's handshake: AUTH or HELLO 3 AUTH, CLIENT SETNAME, refusals that it tolerates, SELECT", async (t) => {
  const { connect } = await respFixture(t, { keys: [OWNER], volumes: ['kv', 'other'] });
  const client = await connect();
  await client.expect(request('HELLO', '3', 'AUTH', OWNER.id, OWNER.secret), hello(3));
  await client.expect(request('CLIENT', 'SETNAME', 'worker-1'), '+OK\r\n');
  await client.expect(request('CLIENT', 'GETNAME'), '$8\r\nworker-1\r\n');
  await client.expect(
    request('CLIENT', 'MAINT_NOTIFICATIONS', 'ON'),
    "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n",
  );
  await client.expect(request('SELECT', '1'), '+OK\r\n');
  await client.expect(request('SET', 'a', '1'), '+OK\r\n');
  await client.expect(request('SELECT', '0'), '+OK\r\n');
  await client.expect(request('GET', 'a'), '_\r\n', 'volumes are apart');
  await client.expect(request('SELECT', '2'), '-ERR DB index is out of range\r\n');
});

test('FOREBAY.LOOKUP says how many keys from the first on are there, and for how long they stay', async (t) => {
  const { connect, volume } = await respFixture(t);
  const client = await connect();
  for (const key of ['a', 'b', 'd']) await client.expect(request('SET', key, key), '+OK\r\n');
  await client.expect(request('FOREBAY.LOOKUP', 'a', 'b', 'c', 'd'), `*2\r\n:2\r\n:${kvLeaseMs}\r\n`);
  assert.ok(volume.leasedUntilMs('a') > 0 && volume.leasedUntilMs('b') > 0);
  assert.equal(volume.leasedUntilMs('d'), 0, 'what is behind a miss is not leased');
  await client.expect(request('forebay.lookup', 'c', 'a'), '*2\r\n:0\r\n:0\r\n');
  await client.expect(request('EXISTS', 'a', 'c', 'd', 'a'), ':3\r\n');
});

test('keys and values are bytes: every one of the 256 comes back', async (t) => {
  const { connect } = await respFixture(t);
  const client = await connect();
  const all = Uint8Array.from({ length: 256 }, (_, index) => index);
  await client.expect(request('SET', all, all), '+OK\r\n');
  await client.expect(request('GET', all), bulk(Buffer.from(all)));
  await client.expect(
    request('SCAN', '0'),
    Buffer.concat([Buffer.from('*2\r\n$1\r\n0\r\n*1\r\n'), bulk(Buffer.from(all))]),
  );
});

test('pipelined answers come in order, whatever takes longer', async (t) => {
  const { connect } = await respFixture(t);
  const client = await connect();
  const big = ramp(700_000);
  const sent: Buffer[] = [];
  const expected: Buffer[] = [];
  for (let index = 0; index < 40; index++) {
    const value = index % 10 === 0 ? big : ramp(50 + index, index);
    sent.push(request('SET', `key-${index}`, value), request('GET', `key-${index}`), request('GET', 'none'));
    expected.push(Buffer.from('+OK\r\n'), bulk(value), Buffer.from('$-1\r\n'));
    sent.push(request('STRLEN', `key-${index}`), request('SET', `key-${index}`, 'x'), request('GET', `key-${index}`));
    expected.push(Buffer.from(`:${value.length}\r\n+OK\r\n$1\r\nx\r\n`));
  }
  await client.expect(Buffer.concat(sent), Buffer.concat(expected));
});

test('MSET and MGET take large and small values together', async (t) => {
  const { connect } = await respFixture(t);
  const client = await connect();
  const [one, two, three] = [ramp(400_000), ramp(10), ramp(1 << 20, 3)] as const;
  await client.expect(request('MSET', 'one', one, 'two', two, 'three', three, 'four', ''), '+OK\r\n');
  const values = Buffer.concat([bulk(one), Buffer.from('$-1\r\n'), bulk(two), bulk(three), Buffer.from('$0\r\n\r\n')]);
  await client.expect(
    request('MGET', 'one', 'none', 'two', 'three', 'four'),
    Buffer.concat([Buffer.from('*5\r\n'), values]),
  );
  await client.expect(request('MSET', 'one', one, 'two'), "-ERR wrong number of arguments for 'mset' command\r\n");
});

test('SET NX of values that are not collected: one of several writers gets the key', async (t) => {
  const { connect } = await respFixture(t);
  const clients = [await connect(), await connect()] as const;
  const requests = [1, 2].map((seed) => request('SET', 'k', ramp(400_000, seed), 'NX'));
  for (const [at, client] of clients.entries()) client.send((requests[at] as Buffer).subarray(0, 390_000));
  for (const [at, client] of clients.entries()) client.send((requests[at] as Buffer).subarray(390_000));
  const answers = await Promise.all(clients.map((client) => client.read(5)));
  assert.deepEqual(answers.map(String).toSorted(), ['$-1\r\n', '+OK\r\n']);
});

test('SET with options behind a value that was not collected', async (t) => {
  const { connect, volume } = await respFixture(t);
  const client = await connect();
  const [first, second] = [ramp(400_000), ramp(300_000, 9)] as const;
  await client.expect(request('SET', 'k', first, 'XX'), '$-1\r\n');
  await client.expect(request('SET', 'k', first, 'NX', 'EX', '100'), '+OK\r\n');
  await expectTtl(client, 'k', 100);
  await client.expect(request('SET', 'k', second, 'NX'), '$-1\r\n');
  await client.expect(request('SET', 'k', second, 'BOGUS'), '-ERR syntax error\r\n');
  await client.expect(request('GET', 'k'), bulk(first), 'a SET that is refused leaves what was there');
  await client.expect(request('SET', 'k', second, 'KEEPTTL', 'GET'), bulk(first));
  await expectTtl(client, 'k', 100);
  await client.expect(request('GET', 'k'), bulk(second));
  await client.expect(request('SETEX', 'k', '0', first), "-ERR invalid expire time in 'setex' command\r\n");
  await client.expect(request('SETEX', 'k', '50', first), '+OK\r\n');
  await client.expect(request('SETNX', 'k', second), ':0\r\n');
  await client.expect(request('SETNX', 'l', second), ':1\r\n');
  await client.expect(request('STRLEN', 'l'), ':300000\r\n');
  assert.equal(volume.status.values, 2);
});

test('without a key nothing is answered but AUTH; wrong ones are refused in the words of Redis, and counted', async (t) => {
  const { connect, events } = await respFixture(t, { keys: [OWNER] });
  const client = await connect();
  await client.expect(request('GET', 'a'), '-NOAUTH Authentication required.\r\n');
  await client.expect(request('PING'), '-NOAUTH Authentication required.\r\n');
  await client.expect(request('AUTH', 'wrong'), WRONG);
  await client.expect(request('AUTH', OWNER.id, 'wrong'), WRONG);
  await client.expect(request('AUTH', 'nobody', OWNER.secret), WRONG);
  await client.expect(request('HELLO', '3', 'AUTH', OWNER.id, 'wrong'), WRONG);
  assert.equal(events.filter((event) => event.kind === 'door.refused' && event.reason === 'wrongPassword').length, 4);
  await client.expect(request('AUTH', OWNER.secret), '+OK\r\n', 'the only key is the default user');
  await client.expect(request('PING'), '+PONG\r\n');
  await client.expect(request('RESET'), '+RESET\r\n');
  await client.expect(request('PING'), '-NOAUTH Authentication required.\r\n');
  await client.expect(request('AUTH', OWNER.id, OWNER.secret), '+OK\r\n');
  await client.expect(request('SET', 'a', 'b'), '+OK\r\n');
  await client.expect(request('QUIT'), '+OK\r\n');
  assert.equal((await client.rest()).length, 0);
});

test('rights are per volume: a reader cannot write, and sees no volume that is not its own', async (t) => {
  const { connect } = await respFixture(t, { keys: [OWNER, READER], volumes: ['kv', 'secret'] });
  const client = await connect();
  await client.expect(request('AUTH', READER.secret), WRONG, 'with two keys a secret alone names nobody');
  await client.expect(request('AUTH', READER.id, READER.secret), '+OK\r\n');
  await client.expect(request('GET', 'a'), '$-1\r\n');
  const refused = "-NOPERM this user has no permissions to run the 'set' command\r\n";
  await client.expect(request('SET', 'a', 'b'), refused);
  await client.expect(request('SET', 'a', ramp(1 << 20)), refused, 'also of a value that arrives piece by piece');
  await client.expect(request('DEL', 'a'), "-NOPERM this user has no permissions to run the 'del' command\r\n");
  await client.expect(request('SELECT', '1'), '-ERR DB index is out of range\r\n');
});

test('a volume that is read-only says so', async (t) => {
  const { connect } = await respFixture(t, { readOnly: ['kv'] });
  const client = await connect();
  await client.expect(
    request('SET', 'a', 'b'),
    '-READONLY the volume is read-only (write = false in the configuration)\r\n',
  );
});

test('S-12: keys are 1 to 1,024 bytes, and what is no command says what to do instead', async (t) => {
  const { connect } = await respFixture(t);
  const client = await connect();
  const longest = 'k'.repeat(1024);
  await client.expect(request('SET', longest, 'v'), '+OK\r\n');
  await client.expect(request('GET', longest), '$1\r\nv\r\n');
  await client.expect(request('GET', `${longest}k`), '-ERR keys have 1 to 1,024 bytes, this one has 1025\r\n');
  await client.expect(request('SET', '', 'v'), '-ERR keys have 1 to 1,024 bytes, this one has 0\r\n');
  await client.expect(request('SET', '', ramp(1 << 20)), '-ERR keys have 1 to 1,024 bytes, this one has 0\r\n');
  await client.expect(
    request('GET', 'k'.repeat(70_000)),
    '-ERR an argument is too long: keys have at most 1,024 bytes, other words 64 KiB\r\n',
  );
  await client.expect(
    request('MULTI'),
    "-ERR 'MULTI' is not a command of Forebay: transactions are not served: values are put and read one by one, each whole\r\n",
  );
  await client.expect(request('FOO', 'a'), "-ERR unknown command 'FOO', with args beginning with: 'a' \r\n");
});

test('SCAN pages through all keys, also where a pattern leaves few, and goes on over another connection', async (t) => {
  const { connect } = await respFixture(t);
  const clients = [await connect(), await connect()] as const;
  const sets = Array.from({ length: 95 }, (_, index) => request('SET', `${index % 2 ? 'odd' : 'even'}-${index}`, 'v'));
  await clients[0].expect(Buffer.concat(sets), '+OK\r\n'.repeat(95));
  for (const [match, count] of [
    ['*', 95],
    ['odd-*', 47],
    ['*-1?', 10],
  ] as const) {
    const seen: string[] = [];
    let cursor = '0';
    let page = 0;
    do {
      const client = clients[page++ % 2] as RawClient;
      client.send(request('SCAN', cursor, 'MATCH', match, 'COUNT', '7'));
      await client.expect('', '*2\r\n');
      cursor = await readBulk(client);
      const length = await readHead(client, '*');
      for (let index = 0; index < length; index++) seen.push(await readBulk(client));
    } while (cursor !== '0');
    assert.equal(seen.length, count, match);
    assert.equal(new Set(seen).size, count);
  }
  await clients[0].expect(request('SCAN', '4711'), '-ERR invalid cursor: begin again with 0\r\n');
  await clients[0].expect(request('DBSIZE'), ':95\r\n');
});

test('a time to live ends, is prolonged, taken away, and in the past deletes', async (t) => {
  const { connect } = await respFixture(t);
  const client = await connect();
  await client.expect(request('SET', 'a', 'v', 'PX', '1'), '+OK\r\n');
  for (let tries = 0; ; tries++) {
    client.send(request('EXISTS', 'a'));
    if ((await client.read(4)).toString() === ':0\r\n') break;
    assert.ok(tries < 100_000, 'it ends');
  }
  await client.expect(request('SET', 'a', 'v', 'EX', '9223372036854775'), '+OK\r\n', 'far future');
  await client.expect(request('PERSIST', 'a'), ':1\r\n');
  await client.expect(request('TTL', 'a'), ':-1\r\n');
  await client.expect(request('EXPIRE', 'a', '100'), ':1\r\n');
  await client.expect(request('EXPIRE', 'a', '50', 'GT'), ':0\r\n');
  await client.expect(request('EXPIRE', 'a', '0'), ':1\r\n');
  await client.expect(request('EXISTS', 'a'), ':0\r\n');
  await client.expect(request('SET', 'a', 'v', 'EX', '0'), "-ERR invalid expire time in 'set' command\r\n");
});

test('a client that half-closes gets the answers to all it asked', async (t) => {
  const { connect } = await respFixture(t);
  const client = await connect();
  client.socket.end(Buffer.concat([request('SET', 'a', 'b'), request('GET', 'a'), Buffer.from('PING\r\n')]));
  assert.equal((await client.rest()).toString(), '+OK\r\n$1\r\nb\r\n+PONG\r\n');
});

/** Streams whose answers do not depend on the server, the time or the order of a listing. */
const STREAMS: readonly (readonly (string | Uint8Array)[])[] = [
  ['SET', 'a', '1'],
  ['GET', 'a'],
  ['SET', 'a', '2', 'NX'],
  ['SET', 'a', '3', 'XX', 'GET'],
  ['SET', 'a', '4', 'NX', 'GET'],
  ['SET', 'b', '5', 'GET'],
  ['SET', 'a', '6', 'EX', '100'],
  ['TTL', 'a'],
  ['SET', 'a', '7', 'KEEPTTL'],
  ['TTL', 'a'],
  ['PERSIST', 'a'],
  ['PERSIST', 'a'],
  ['PTTL', 'a'],
  ['SET', 'a', '8', 'EX', '10', 'PX', '10'],
  ['SET', 'a', '8', 'EX'],
  ['SET', 'a', '8', 'EX', 'x'],
  ['SET', 'a', '8', 'NX', 'XX'],
  ['SET', 'a', '8', 'KEEPTTL', 'EX', '1'],
  ['SET', 'a', '8', 'EX', '9223372036854775807'],
  ['SET', 'a', '8', 'PXAT', '1'],
  ['EXISTS', 'a'],
  ['SETNX', 'a', '9'],
  ['SETNX', 'a', '10'],
  ['SETEX', 'a', '100', 'x'],
  ['PSETEX', 'a', '100000', 'y'],
  ['TTL', 'a'],
  ['SETEX', 'a', '-1', 'x'],
  ['SETEX', 'a', 'x', 'x'],
  ['MSET', 'c', '1', 'd', '2'],
  ['MSET', 'c', '1', 'd'],
  ['MGET', 'c', 'none', 'd'],
  ['STRLEN', 'c'],
  ['STRLEN', 'none'],
  ['TYPE', 'c'],
  ['TYPE', 'none'],
  ['EXISTS', 'c', 'd', 'none', 'c'],
  ['DEL', 'c', 'none', 'c'],
  ['UNLINK', 'd'],
  ['TTL', 'none'],
  ['PTTL', 'none'],
  ['EXPIRE', 'b', '100'],
  ['EXPIRE', 'b', '10', 'NX'],
  ['EXPIRE', 'b', '10', 'GT'],
  ['EXPIRE', 'b', '10', 'LT'],
  ['EXPIRE', 'b', '10', 'XX'],
  ['EXPIRE', 'b', '10', 'NX', 'XX'],
  ['EXPIRE', 'b', '10', 'GT', 'LT'],
  ['EXPIRE', 'b', '10', 'ZZ'],
  ['EXPIRE', 'b', 'x'],
  ['EXPIRE', 'b', '9223372036854775807'],
  ['EXPIRE', 'none', '10'],
  ['PEXPIRE', 'b', '-5'],
  ['EXISTS', 'b'],
  ['EXPIREAT', 'a', '1'],
  ['DBSIZE'],
  ['SCAN', '0'],
  ['SCAN', 'x'],
  ['SCAN', '0', 'COUNT', '0'],
  ['SCAN', '0', 'COUNT', 'x'],
  ['SCAN', '0', 'MATCH'],
  ['PING'],
  ['PING', 'hello'],
  ['PING', 'a', 'b'],
  ['ECHO', 'hello'],
  ['ECHO'],
  ['SELECT', '0'],
  ['SELECT', 'x'],
  ['SELECT', '-1'],
  ['SELECT', '99'],
  ['CLIENT', 'GETNAME'],
  ['CLIENT', 'SETNAME', 'a b'],
  ['CLIENT', 'SETNAME', 'ab'],
  ['CLIENT', 'GETNAME'],
  ['CLIENT', 'ID', 'x'],
  ['CLIENT', 'NOPE'],
  ['CLIENT'],
  ['CONFIG', 'GET', 'save'],
  ['CONFIG', 'GET', 'append*y'],
  ['CONFIG', 'GET'],
  ['CONFIG', 'NOPE'],
  ['COMMAND', 'NOPE'],
  ['AUTH', 'x'],
  ['AUTH', 'a', 'b'],
  ['AUTH', 'a', 'b', 'c'],
  ['AUTH', 'default', 'b'],
  ['HELLO', '4'],
  ['HELLO', 'x'],
  ['HELLO', '2', 'NOPE'],
  ['HELLO', '2', 'AUTH', 'a', 'b'],
  ['NOPE', 'a', 'b'],
  ['GET'],
  ['GET', 'a', 'b'],
  ['RESET'],
  ['RESET', 'x'],
  ['SET', 'big', ramp(300_000)],
  ['GET', 'big'],
  ['SET', 'big', ramp(300_000), 'NX'],
  ['SET', 'big', ramp(270_000, 5), 'XX', 'GET'],
  ['GET', 'big'],
  ['SET', 'empty', ''],
  ['GET', 'empty'],
  ['STRLEN', 'empty'],
];

for (const protocol of [2, 3])
  test(`the same requests get the same answers from redis-server, byte by byte (RESP${protocol})`, async (t) => {
    const redisPort = await startRedis(t);
    if (redisPort === undefined) return;
    const { connect } = await respFixture(t);
    const ours = await connect();
    const theirs = await RawClient.connect(redisPort);
    t.after(() => theirs.socket.destroy());
    for (const client of [ours, theirs]) {
      client.send(request('HELLO', String(protocol)));
      await client.until('modules\r\n*0\r\n');
    }
    for (const words of STREAMS) {
      if (words[0] === 'RESET' && words.length === 1 && protocol === 3) continue;
      const marker = `end-${Math.abs(words.join(' ').length)}`;
      const both = [ours, theirs].map(async (client) => {
        client.send(Buffer.concat([request(...words), request('ECHO', marker)]));
        return client.until(`$${marker.length}\r\n${marker}\r\n`);
      });
      const [our, their] = (await Promise.all(both)) as [string, string];
      if (/TTL/.test(String(words[0])) && Number(their.slice(1)) > 0) assertNear(our, their);
      else assert.equal(our, their, words.map((one) => String(one).slice(0, 20)).join(' '));
    }
  });

const WRONG = '-WRONGPASS invalid username-password pair or user is disabled.\r\n';

function bulk(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]);
}

/** What HELLO 3 answers to the first client of a door. */
function hello(protocol: number): string {
  return `%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:${protocol}\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n`;
}

async function readHead(client: RawClient, type: string): Promise<number> {
  const line = await client.until('\r\n');
  assert.equal(line[0], type);
  return Number(line.slice(1));
}

async function readBulk(client: RawClient): Promise<string> {
  const length = await readHead(client, '$');
  return (await client.read(length + 2)).subarray(0, -2).toString('latin1');
}

/** The machine may be slow: seconds may have passed. */
async function expectTtl(client: RawClient, key: string, seconds: number): Promise<void> {
  client.send(request('TTL', key));
  const left = await readHead(client, ':');
  assert.ok(left <= seconds && left > seconds - 60, `${left} s of ${seconds} are left`);
}

function assertNear(our: string, their: string): void {
  const [one, other] = [our, their].map((text) => Number(text.slice(1))) as [number, number];
  assert.ok(one > 0 && Math.abs(one - other) < 60_000, `${our} is near ${their}`);
}

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, createServer, type Server } from 'node:net';
import { test } from 'node:test';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { Home } from './node-process.ts';

const MiB = 1 << 20;

/** Bytes that show when one is misplaced: a ramp modulo a prime. */
function ramp(lengthBytes: number): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  for (let index = 0; index < lengthBytes; index++) bytes[index] = index % 251;
  return bytes;
}

async function withData(home: Home, sizeBytes = 3 * MiB + 17): Promise<Buffer> {
  const bytes = ramp(sizeBytes);
  await mkdir(home.path('data', 'sub'), { recursive: true });
  await writeFile(home.path('data', 'big.bin'), bytes);
  await writeFile(home.path('data', 'sub', 'hello.txt'), 'hello');
  return bytes;
}

const volume = (home: Home): string[] => ['--volume', `models=file://${home.path('data')}`];

test('up prints one line of JSON when it serves, with the ports it was given, and ends in order when told to', async () => {
  await using home = await Home.make();
  await withData(home);
  const node = await home.up(...volume(home));
  assert.deepEqual(Object.keys(node.doors), ['s3', 'admin']);
  assert.equal(node.pid, node.process.pid);
  for (const address of Object.values(node.doors)) assert.match(address, /^127\.0\.0\.1:[1-9]\d*$/);
  assert.equal((await fetch(`http://${node.doors['admin']}/healthz`)).status, 200);
  const ended = await node.stop('SIGTERM');
  assert.equal(ended.code, 0);
  assert.equal(ended.stdout.trim().split('\n').length, 1);
  const log = ended.stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { kind: string });
  assert.deepEqual(
    log.map(({ kind }) => kind),
    ['store.opened', 'node.ready', 'node.stopping', 'node.stopped'],
  );
});

test('the first start makes a private key; env turns it into what the AWS tools need, and they get the bytes', async () => {
  await using home = await Home.make();
  const bytes = await withData(home);
  const node = await home.up(...volume(home));
  assert.equal((await stat(home.path('.config', 'forebay', 'credentials'))).mode & 0o777, 0o600);
  const { code, stdout } = await home.run('env', '--json', '--admin', node.doors['admin'] as string);
  assert.equal(code, 0);
  const given = JSON.parse(stdout) as Record<
    'AWS_ENDPOINT_URL_S3' | 'AWS_ACCESS_KEY_ID' | 'AWS_SECRET_ACCESS_KEY' | 'AWS_REGION',
    string
  >;
  assert.equal(given.AWS_ENDPOINT_URL_S3, `http://${node.doors['s3']}`);
  const client = new S3Client({
    endpoint: given.AWS_ENDPOINT_URL_S3,
    region: given.AWS_REGION,
    credentials: { accessKeyId: given.AWS_ACCESS_KEY_ID, secretAccessKey: given.AWS_SECRET_ACCESS_KEY },
    forcePathStyle: true,
  });
  const { Body } = await client.send(new GetObjectCommand({ Bucket: 'models', Key: 'big.bin' }));
  assert.ok(Buffer.from((await Body?.transformToByteArray()) ?? []).equals(bytes));
  client.destroy();
  const shell = await home.run('env', '--admin', node.doors['admin'] as string);
  assert.match(
    shell.stdout,
    /^export AWS_ENDPOINT_URL_S3=http:\/\/127\.0\.0\.1:\d+\nexport AWS_ACCESS_KEY_ID=FB[0-9A-F]+\nexport AWS_SECRET_ACCESS_KEY=[\w-]+\nexport AWS_REGION=us-east-1\n$/,
  );
  assert.equal((await node.stop()).code, 0);
});

test('ls, warm, check, pin, evict, explain and status say what is here, in lines and in JSON', async () => {
  await using home = await Home.make();
  const bytes = await withData(home);
  const node = await home.up(...volume(home));
  const ask = async (...args: readonly string[]): Promise<string> => {
    const ran = await home.run(...args, '--admin', node.doors['admin'] as string);
    assert.equal(ran.code, 0, `${args.join(' ')}: ${ran.stderr}`);
    return ran.stdout;
  };
  const asked = async (...args: readonly string[]) =>
    (await ask(...args, '--json'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const total = async () => ((await asked('check', 'models')).at(-1) as { total: Record<string, number> }).total;

  assert.match(await ask('ls'), /^VOLUME .*\nmodels +file:\/\/.* read .* reachable\n$/);
  assert.deepEqual(
    (await asked('ls', 'models')).map((entry) => entry['key'] ?? entry['prefix']),
    ['big.bin', 'sub/'],
  );
  assert.deepEqual(
    (await asked('ls', '-r', 's3://models')).map((entry) => entry['key']),
    ['big.bin', 'sub/hello.txt'],
  );
  assert.deepEqual(
    (await asked('ls', 'models/sub/')).map((entry) => entry['key']),
    ['sub/hello.txt'],
  );

  const here = { objects: 2, pinned: 0, bytes: bytes.length + 5 };
  const [warmed] = await asked('warm', 'models');
  assert.deepEqual([warmed?.['objectsDone'], warmed?.['bytesDone'], warmed?.['failed']], [2, bytes.length + 5, []]);
  assert.deepEqual(await total(), { ...here, whole: 2, partial: 0, absent: 0, presentBytes: bytes.length + 5 });
  assert.match(await ask('check', '--verify', 'models/big.bin'), /^whole .* models\/big\.bin\n1 objects: 1 whole/);

  assert.deepEqual(await asked('pin', 'models/big.bin'), [{ objects: 1, pinned: true }]);
  const [evicted] = await asked('evict', 'models');
  assert.deepEqual(evicted, { bytes: 5, kept: bytes.length });
  assert.deepEqual(await asked('pin', '--off', 'models/big.bin'), [{ objects: 1, pinned: false }]);
  assert.match(await ask('evict', 'models'), /^3 MiB freed\n$/);
  assert.equal((await total())['presentBytes'], 0);

  const [explained] = await asked('explain', 'models/sub/hello.txt');
  assert.equal((explained as { state: { sizeBytes: number } }).state.sizeBytes, 5);
  assert.match(await ask('explain', 'models/sub/hello.txt'), /^SOURCE +RESULT/);
  const [status] = await asked('status');
  assert.equal((status as { volumes: { name: string }[] }).volumes[0]?.name, 'models');
  assert.match(await ask('status'), /ready\ndoors +s3 127\.0\.0\.1:\d+, admin/);
  assert.equal((await node.stop()).code, 0);
});

test('warm lays objects out as plain files where it is told to, and takes its targets from a list', async () => {
  await using home = await Home.make();
  const bytes = await withData(home);
  const node = await home.up(...volume(home));
  await writeFile(home.path('list'), '# targets\nmodels/big.bin\nmodels/sub/\n');
  const ran = await home.run('warm', '--list', 'list', '--to', 'out', '--admin', node.doors['admin'] as string);
  assert.deepEqual([ran.code, ran.stderr], [0, '']);
  assert.match(ran.stdout, /^2 of 2 objects, /);
  assert.ok((await readFile(home.path('out', 'big.bin'))).equals(bytes));
  assert.equal(await readFile(home.path('out', 'sub', 'hello.txt'), 'utf8'), 'hello');
  assert.equal((await node.stop()).code, 0);
});

test('what fails says so in a sentence with what to do, and ends with 1', async () => {
  await using home = await Home.make();
  await withData(home);
  const node = await home.up(...volume(home));
  const admin = node.doors['admin'] as string;
  const unknown = await home.run('ls', 'other', '--admin', admin);
  assert.deepEqual([unknown.code, unknown.stdout], [1, '']);
  assert.match(unknown.stderr, /^forebay: there is no volume "other"\n {2}Name a volume/);
  const missing = await home.run('warm', 'models/none', '--admin', admin, '--json');
  assert.equal(missing.code, 1);
  await node.stop();
  const gone = await home.run('status', '--admin', admin);
  assert.equal(gone.code, 1);
  assert.equal(
    gone.stderr,
    `forebay: no node answers at ${admin}\n  Start one with \`forebay up\`, or name its admin door with --admin HOST:PORT.\n`,
  );
  const json = await home.run('status', '--json', '--admin', admin);
  assert.deepEqual([json.code, json.stderr], [1, '']);
  assert.match((JSON.parse(json.stdout) as { error: { message: string } }).error.message, /^no node answers/);
});

test('wrong use ends with 2 and says what is wrong', async () => {
  await using home = await Home.make();
  await writeFile(home.path('forebay.toml'), '[node]\ncacheDr = "x"\n');
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [['bogus'], /unknown command 'bogus'/],
    [['status', '--bogus'], /unknown option '--bogus'/],
    [['check'], /missing required argument 'targets'/],
    [['up'], /^forebay: forebay\.toml:2: node\.cacheDr: unknown key; did you mean node\.cacheDir\?\n/],
    [['status', '--admin', 'nonsense'], /^forebay: --admin nonsense: expected HOST:PORT/],
    [['explain', 'models', '--admin', '127.0.0.1:1'], /^forebay: explain takes one object/],
    [['warm', '--admin', '127.0.0.1:1'], /^forebay: warm what\?/],
    [['ls', 'UPPER', '--admin', '127.0.0.1:1'], /"UPPER" names no volume/],
    [['up', '--config', 'none.toml'], /none\.toml: cannot be read \(ENOENT\)/],
  ];
  for (const [args, expected] of wrong) {
    const { code, stdout, stderr } = await home.run(...args);
    assert.deepEqual([code, stdout], [2, ''], args.join(' '));
    assert.match(stderr, expected);
  }
});

test('a node without a volume does not start, and says how to give it one', async () => {
  await using home = await Home.make();
  const { code, stderr } = await home.run('up');
  assert.equal(code, 2);
  assert.match(stderr, /there is no volume to serve\n {2}Write \[volumes\.NAME\]/);
});

test('help and version are no errors', async () => {
  await using home = await Home.make();
  const help = await home.run('--help');
  assert.equal(help.code, 0);
  for (const name of [
    'up',
    'status',
    'ls',
    'warm',
    'check',
    'evict',
    'pin',
    'explain',
    'inspect',
    'env',
    'doctor',
    'bench',
    'demo',
    'sim',
    'plan',
    'room',
    'dev',
  ])
    assert.match(help.stdout, new RegExp(`^ {2}${name}\\b`, 'm'));
  assert.match((await home.run('--version')).stdout, /^\d+\.\d+\.\d+\n$/);
});

test('two daemons on one cache directory: the second refuses, and the first goes on', async () => {
  await using home = await Home.make();
  await withData(home);
  const node = await home.up(...volume(home));
  const second = await home.run(
    'up',
    ...volume(home),
    '--set',
    'doors.s3=127.0.0.1:0',
    '--set',
    'doors.admin=127.0.0.1:0',
  );
  assert.equal(second.code, 1);
  assert.match(second.stderr, /^forebay: another daemon uses .*\n {2}.*give each daemon its own/m);
  assert.equal((await home.run('check', 'models', '--admin', node.doors['admin'] as string)).code, 0);
  assert.equal((await node.stop()).code, 0);
});

test('a daemon that was killed leaves a directory that the next one takes, with what was here', async () => {
  await using home = await Home.make();
  const bytes = await withData(home);
  const first = await home.up(...volume(home));
  await home.run('warm', 'models/big.bin', '--admin', first.doors['admin'] as string);
  await first.stop('SIGKILL');
  const second = await home.up(...volume(home));
  const checked = await home.run(
    'check',
    '--verify',
    '--json',
    'models/big.bin',
    '--admin',
    second.doors['admin'] as string,
  );
  const state = JSON.parse(checked.stdout.split('\n')[0] as string) as { state: string; presentBytes: number };
  assert.deepEqual([state.state, state.presentBytes], ['whole', bytes.length]);
  assert.equal((await second.stop()).code, 0);
});

test('a port that is taken is a clear error, and nothing stays behind', async () => {
  await using home = await Home.make();
  await withData(home);
  const taken: Server = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const address = `127.0.0.1:${(taken.address() as { port: number }).port}`;
  const { code, stderr } = await home.run(
    'up',
    ...volume(home),
    '--set',
    'doors.s3=127.0.0.1:0',
    '--set',
    `doors.admin=${address}`,
  );
  taken.close();
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`the admin door cannot listen on ${address}: something listens there already`));
  const next = await home.up(...volume(home));
  assert.equal((await next.stop()).code, 0);
});

test('a key that others may read is refused at the start', async () => {
  await using home = await Home.make();
  await withData(home);
  await (await home.up(...volume(home))).stop();
  await chmod(home.path('.config', 'forebay', 'credentials'), 0o644);
  const { code, stderr } = await home.run('up', ...volume(home));
  assert.equal(code, 2);
  assert.match(stderr, /others may read it \(mode 0644\); chmod 600 it/);
});

test('doctor finds a sound setup sound, and names what is not', async () => {
  await using home = await Home.make();
  await withData(home);
  const doors = ['--set', 'doors.s3=127.0.0.1:0', '--set', 'doors.admin=127.0.0.1:0'];
  const sound = await home.run('doctor', '--json', ...volume(home), ...doors);
  const found = JSON.parse(sound.stdout) as { ok: boolean; findings: { check: string; level: string }[] };
  assert.deepEqual(
    found.findings.filter(({ level }) => level === 'fail'),
    [],
  );
  assert.deepEqual([found.ok, sound.code], [true, 0]);
  for (const check of [
    'node',
    'sendfile',
    'kernel',
    'open files',
    'credentials',
    'file system',
    'space',
    'writing',
    'punch',
    'reflink',
    's3 door',
    'admin door',
    'volume models',
  ])
    assert.ok(
      found.findings.some((finding) => finding.check === check),
      check,
    );
  const broken = await home.run('doctor', '--volume', `models=file://${home.path('none')}`, ...doors);
  assert.equal(broken.code, 1);
  assert.match(broken.stdout, /^fail {2}volume models: .*\n {6}\S/m);
});

test('inspect reads a cache directory beside the daemon that uses it', async () => {
  await using home = await Home.make();
  const bytes = await withData(home);
  const node = await home.up(...volume(home));
  await home.run('warm', 'models', '--admin', node.doors['admin'] as string);
  await node.stop();
  const { code, stdout } = await home.run(
    'inspect',
    home.path('.cache', 'forebay', 'data'),
    '--find',
    'big.bin',
    '--json',
  );
  assert.equal(code, 0);
  const found = JSON.parse(stdout) as { presentBytes: number; found: { fact: { key: string } }[] };
  assert.deepEqual([found.presentBytes, found.found[0]?.fact.key], [bytes.length + 5, 'big.bin']);
  const none = await home.run('inspect', home.path('data'));
  assert.notEqual(none.code, 0);
});

test('a daemon that is told to stop takes no new connections and finishes the answer under way', async () => {
  await using home = await Home.make();
  const bytes = await withData(home, 48 * MiB);
  const node = await home.up(...volume(home), '--set', 'doors.anonymous=true');
  const { hostname: host, port } = new URL(`http://${node.doors['s3']}`);
  const request = httpRequest({ host, port, path: '/models/big.bin', agent: false });
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  assert.equal(response.statusCode, 200);
  const [first] = (await once(response, 'data')) as [Buffer];
  response.pause();
  const ended = node.stop('SIGTERM');
  await node.logged(/node\.stopping/);
  const refused = connect(Number(port), host);
  const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
  // reset: it was taken by the system before the door closed
  assert.match(error.code ?? '', /^ECONN(REFUSED|RESET)$/);
  const pieces = [first];
  for await (const piece of response as AsyncIterable<Buffer>) pieces.push(piece);
  assert.ok(Buffer.concat(pieces).equals(bytes));
  assert.equal((await ended).code, 0);
});

test('dev with one node serves a writable volume in memory on loopback, without keys', async () => {
  await using home = await Home.make();
  const doors = ['--set', 'doors.s3=127.0.0.1:0', '--set', 'doors.admin=127.0.0.1:0'];
  const node = await home.start('dev', '--nodes', '1', '--json', ...doors);
  const url = `http://${node.doors['s3']}/dev/a%20key`;
  const put = await fetch(url, { method: 'PUT', body: 'hello' });
  assert.equal(put.status, 200, await put.text());
  assert.equal(await (await fetch(url)).text(), 'hello');
  const listed = await home.run('ls', '--json', 'dev', '--admin', node.doors['admin'] as string);
  assert.match(listed.stdout, /"key":"a key","sizeBytes":5/);
  assert.equal((await node.stop('SIGINT')).code, 0);
});

test('metrics are there for a key, and the log is text where that is asked for', async () => {
  await using home = await Home.make();
  await withData(home);
  const node = await home.up(...volume(home), '--set', 'log.format=text', '--set', 'log.level=debug');
  await home.run('warm', 'models', '--admin', node.doors['admin'] as string);
  const key = JSON.parse((await home.run('env', '--json', '--admin', node.doors['admin'] as string)).stdout) as Record<
    string,
    string
  >;
  const url = `http://${node.doors['admin']}/metrics`;
  assert.equal((await fetch(url)).status, 401);
  const authorization = `Bearer ${key['AWS_ACCESS_KEY_ID']}:${key['AWS_SECRET_ACCESS_KEY']}`;
  const text = await (await fetch(url, { headers: { authorization } })).text();
  assert.match(text, /^forebay_fill_bytes_total\{volume="models"\} [1-9]/m);
  assert.match(text, /^forebay_origin_requests_total\{origin="file:.*",operation="get",code="ok"\} [1-9]/m);
  assert.match(text, /^forebay_store_present_bytes [1-9]/m);
  assert.match(text, /^forebay_door_requests_total\{door="admin",operation="warm",status="200"\} 1$/m);
  const { stderr } = await node.stop();
  assert.match(stderr, /^\d\d:\d\d:\d\d info {2}node\.ready name=/m);
  assert.match(stderr, /^\d\d:\d\d:\d\d debug fill\.done volume=models /m);
});

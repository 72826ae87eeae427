import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { test } from 'node:test';
import { Home, type RunningNode } from './node-process.ts';

interface DevNode {
  readonly name: string;
  readonly zone: string;
  readonly pid: number;
  readonly doors: Readonly<Record<'s3' | 'admin', string>>;
}

const FREE_PORTS = ['--set', 'doors.s3=127.0.0.1:0', '--set', 'doors.admin=127.0.0.1:0'];

const nodesOf = (cluster: RunningNode): readonly DevNode[] => cluster.ready['nodes'] as readonly DevNode[];

async function refuses(address: string): Promise<void> {
  const [host, port] = address.split(':') as [string, string];
  const [error] = (await once(connect(Number(port), host), 'error')) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ECONNREFUSED');
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

/** Waits until a process of somebody else is gone. */
async function gone(pid: number): Promise<void> {
  while (isAlive(pid)) await new Promise((resolve) => setImmediate(resolve));
}

test('dev runs a cluster: one line when all nodes serve, each with its own doors and zone, one volume for all, and all end together', async () => {
  await using home = await Home.make();
  const cluster = await home.start('dev', '--nodes', '3', '--json', ...FREE_PORTS, '--dir', home.path('state'));
  const nodes = nodesOf(cluster);
  assert.deepEqual(
    nodes.map(({ name, zone }) => [name, zone]),
    [
      ['node-1', 'zone-1'],
      ['node-2', 'zone-2'],
      ['node-3', 'zone-3'],
    ],
  );
  assert.deepEqual(cluster.doors, nodes[0]?.doors);
  const addresses = nodes.flatMap(({ doors }) => Object.values(doors));
  assert.equal(new Set(addresses).size, addresses.length);
  const [first, , third] = nodes as [DevNode, DevNode, DevNode];
  const put = await fetch(`http://${first.doors.s3}/dev/a%20key`, { method: 'PUT', body: 'hello' });
  assert.equal(put.status, 200, await put.text());
  assert.equal(await (await fetch(`http://${third.doors.s3}/dev/a%20key`)).text(), 'hello');
  const { stdout } = await home.run('status', '--json', '--admin', third.doors.admin);
  const status = JSON.parse(stdout) as { name: string; zone: string; store: { directory: string } };
  assert.deepEqual(
    [status.name, status.zone, status.store.directory],
    ['node-3', 'zone-3', home.path('state', 'node-3')],
  );
  assert.equal((await stat(home.path('state', 'secret'))).mode & 0o777, 0o600);
  const ended = await cluster.stop('SIGTERM');
  assert.equal(ended.code, 0);
  assert.equal(ended.stdout.trim().split('\n').length, 1);
  for (const { name, pid, doors } of nodes) {
    assert.ok(!isAlive(pid));
    await refuses(doors.s3);
    assert.match(ended.stderr, new RegExp(`^\\{"node":"${name}",.*"kind":"node\\.stopped"`, 'm'));
  }
  assert.doesNotMatch(ended.stderr, /dev\.nodeEnded/);
});

test('dev keeps what is in its directory, and leaves nothing of a temporary one', async () => {
  await using home = await Home.make();
  const temporary = home.path('tmp');
  await mkdir(temporary);
  const before = process.env['TMPDIR'];
  const listed = async () => (await readdir(temporary)).filter((name) => name.startsWith('forebay-dev-'));
  process.env['TMPDIR'] = temporary;
  const start = async (...args: readonly string[]) =>
    home.start('dev', '--nodes', '2', '--json', ...FREE_PORTS, ...args);
  try {
    const kept = await start('--dir', home.path('state'));
    await fetch(`http://${kept.doors['s3']}/dev/key`, { method: 'PUT', body: 'kept' });
    assert.equal((await kept.stop()).code, 0);
    const again = await start('--dir', home.path('state'));
    assert.equal(await (await fetch(`http://${nodesOf(again)[1]?.doors.s3}/dev/key`)).text(), 'kept');
    assert.equal((await again.stop('SIGINT')).code, 0);
    assert.deepEqual(await listed(), []);
    const passing = await start();
    assert.equal((await listed()).length, 1);
    assert.equal((await passing.stop()).code, 0);
    assert.deepEqual(await listed(), []);
  } finally {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  }
});

test('a node of dev that is killed is reported and not started again, and the others serve on', async () => {
  await using home = await Home.make();
  const cluster = await home.start('dev', '--nodes', '3', '--json', ...FREE_PORTS);
  const [first, second, third] = nodesOf(cluster) as [DevNode, DevNode, DevNode];
  process.kill(second.pid, 'SIGKILL');
  await cluster.logged(/"node":"node-2".*"kind":"dev\.nodeEnded","message":"ended with SIGKILL; 2 nodes are left/);
  await refuses(second.doors.s3);
  for (const { doors } of [first, third]) assert.equal((await fetch(`http://${doors.admin}/healthz`)).status, 200);
  process.kill(first.pid, 'SIGKILL');
  process.kill(third.pid, 'SIGKILL');
  const [code] = (await once(cluster.process, 'close')) as [number];
  assert.equal(code, 1);
});

test('nodes of dev end when dev itself is killed', async () => {
  await using home = await Home.make();
  const cluster = await home.start('dev', '--nodes', '2', '--json', ...FREE_PORTS, '--dir', home.path('state'));
  cluster.process.kill('SIGKILL');
  for (const { pid } of nodesOf(cluster)) await gone(pid);
});

test('dev passes volumes and settings on to every node', async () => {
  await using home = await Home.make();
  await mkdir(home.path('data'));
  await writeFile(home.path('data', 'weights'), 'bytes');
  const volume = ['--volume', `models=file://${home.path('data')}`];
  const settings = ['--set', 'node.capacity=100MiB', '--set', 'log.format=text'];
  const cluster = await home.start('dev', '--nodes', '2', '--json', ...FREE_PORTS, ...volume, ...settings);
  for (const { name, doors } of nodesOf(cluster)) {
    assert.equal(await (await fetch(`http://${doors.s3}/models/weights`)).text(), 'bytes');
    const { stdout } = await home.run('status', '--json', '--admin', doors.admin);
    assert.equal((JSON.parse(stdout) as { store: { capacityBytes: number } }).store.capacityBytes, 100 * 2 ** 20);
    await cluster.logged(new RegExp(`^${name} {2}\\d\\d:\\d\\d:\\d\\d info {2}node\\.ready`, 'm'));
  }
  assert.equal((await cluster.stop()).code, 0);
});

test('dev refuses what cannot be for several nodes', async () => {
  await using home = await Home.make();
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [['--nodes', '0'], /--nodes 0: expected a count from 1 to 32/],
    [['--nodes', 'two'], /--nodes two: expected a count/],
    [['--nodes', '2', '--set', 'node.name=one'], /--set node\.name: each node of dev has its own/],
    [['--nodes', '2', '--volume', 'mem=memory:'], /memory: is of one process/],
    [['--nodes', '2', '--set', 'node.nme=one'], /node\.nme: unknown key/],
    [['--nodes', '2', '--set', 'doors.s3=192.0.2.1:7070'], /anonymous = true is for loopback only/],
  ];
  for (const [args, says] of wrong) {
    const { code, stdout, stderr } = await home.run('dev', ...args);
    assert.deepEqual([code, stdout], [2, ''], args.join(' '));
    assert.match(stderr, says);
  }
});

test('a node of dev that cannot start says why, and the others end with it', async (t) => {
  await using home = await Home.make();
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const taken = ['--set', `doors.s3=127.0.0.1:${port}`, '--set', 'doors.admin=127.0.0.1:0'];
  const { code, stderr } = await home.run('dev', '--nodes', '2', ...taken);
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`node-1: the s3 door cannot listen on 127\\.0\\.0\\.1:${port}: something listens`));
  const json = await home.run('dev', '--nodes', '2', '--json', ...taken);
  assert.match((JSON.parse(json.stdout) as { error: { message: string } }).error.message, /^node-1: the s3 door/);
});

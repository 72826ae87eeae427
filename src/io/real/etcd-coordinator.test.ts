/** etcd does what every Coordinator does, plain, with users, with TLS; and what only a server can get wrong. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { type TestContext, test } from 'node:test';
import {
  type CoordinatorUnderTest,
  fails,
  get,
  names,
  put,
  runCoordinatorConformance,
  watchUntil,
} from '../../../tests/conformance/coordinator.ts';
import { runCoordinatorProcesses } from '../../../tests/conformance/coordinator-processes.ts';
import { type EtcdServer, startEtcd } from '../../../tests/servers/etcd.ts';
import { UnsteadyLine } from '../../../tests/servers/unsteady-line.ts';
import { isForebayError } from '../../core/errors.ts';
import type { Coordinator } from '../coordinator.ts';
import { createRealClock } from './clock.ts';
import { type EtcdOptions, openEtcdCoordinator } from './etcd-coordinator.ts';
import { createRealRandom } from './random.ts';

const clock = createRealClock();
const random = createRealRandom();
const base = { cluster: 'test', clock, random };

function underTest(server: EtcdServer, access: Partial<EtcdOptions> = {}): CoordinatorUnderTest {
  const opened: Coordinator[] = [];
  const lines: UnsteadyLine[] = [];
  const open = async (port: number) => {
    const endpoint = new URL(server.endpoint);
    endpoint.port = String(port);
    const coordinator = await openEtcdCoordinator({ ...base, endpoints: [endpoint.origin], ...access });
    opened.push(coordinator);
    return coordinator;
  };
  return {
    clock,
    ttlMs: 2000,
    open: () => open(server.port),
    openOverLine: async () => {
      const line = await UnsteadyLine.to(server.port);
      lines.push(line);
      return { coordinator: await open(line.port), line };
    },
    compact: () => server.compact(),
    setBack: () => server.restart({ empty: true }),
    close: async () => {
      await Promise.all(opened.map((coordinator) => coordinator.close()));
      await Promise.all(lines.map((line) => line.close()));
    },
  };
}

async function plain(t: TestContext): Promise<CoordinatorUnderTest | undefined> {
  const [server] = (await startEtcd(t)) ?? [];
  return server && underTest(server);
}

runCoordinatorConformance('etcd', plain);

runCoordinatorConformance('etcd with users and TLS', async (t) => {
  const [server] = (await startEtcd(t, { tls: true })) ?? [];
  if (!server) return undefined;
  const access = { ...(await server.useUsers()), ...server.certificates };
  const under = underTest(server, access);
  // A server that was emptied knows no users any more, which is another refusal.
  const { setBack: _, ...rest } = under;
  return rest;
});

runCoordinatorProcesses('etcd', async (t) => {
  const [server] = (await startEtcd(t)) ?? [];
  if (!server) return undefined;
  const under = underTest(server);
  return { ...under, url: `etcd://127.0.0.1:${server.port}` };
});

const refusedWith = (says: RegExp) => (error: unknown) =>
  assert.ok(isForebayError(error, 'coordinatorRefused') && says.test(error.message), String(error)) ?? true;

test('etcd refuses who has no user, a wrong password, or no right to the cluster’s keys, in words', async (t) => {
  const [server] = (await startEtcd(t)) ?? [];
  if (!server) return;
  const { user, password } = await server.useUsers();
  const open = (options: Partial<EtcdOptions>) =>
    openEtcdCoordinator({ ...base, endpoints: [server.endpoint], ...options });
  await assert.rejects(open({}), refusedWith(/wants a user/));
  await assert.rejects(open({ user, password: 'wrong' }), refusedWith(/refuses the user node/));
  await assert.rejects(open({ user, password, cluster: 'other' }), refusedWith(/permission denied/));
  const coordinator = await open({ user, password });
  await put(coordinator, 'a', '');
  await coordinator.close();
});

test('a token that etcd forgot is replaced without anyone noticing', async (t) => {
  const [server] = (await startEtcd(t)) ?? [];
  if (!server) return;
  const access = await server.useUsers();
  const under = underTest(server, access);
  const coordinator = await under.open();
  const revision = await put(coordinator, 'a', '');
  const watching = watchUntil(coordinator, 'b', { afterRevision: revision, last: names('b') });
  // simple tokens live in etcd's memory
  await server.restart();
  await put(coordinator, 'b', '');
  await watching;
  await under.close();
});

test('a certificate of somebody else, none, or a plain line is not let in, in words', async (t) => {
  const [server] = (await startEtcd(t, { tls: true })) ?? [];
  const [stranger] = (await startEtcd(t, { tls: true })) ?? [];
  if (!server?.certificates || !stranger?.certificates) return;
  const { ca, certificate, key } = server.certificates;
  const open = (options: Partial<EtcdOptions>) =>
    openEtcdCoordinator({ ...base, endpoints: [server.endpoint], ...options });
  await assert.rejects(open({ ca: stranger.certificates.ca, certificate, key }), fails('coordinatorRefused'));
  await assert.rejects(open({ ca }), fails('coordinatorRefused', 'coordinatorUnavailable'));
  const { certificate: theirs, key: theirKey } = stranger.certificates;
  await assert.rejects(
    open({ ca, certificate: theirs, key: theirKey }),
    fails('coordinatorRefused', 'coordinatorUnavailable'),
  );
  const plain = [server.endpoint.replace('https', 'http')];
  await assert.rejects(open({ endpoints: plain }), fails('coordinatorUnavailable'));
  await (await open({ ca, certificate, key })).close();
});

test('a watch whose connection is there but dead is noticed, and goes on at another endpoint without a gap', async (t) => {
  const [server] = (await startEtcd(t)) ?? [];
  if (!server) return;
  const line = await UnsteadyLine.to(server.port);
  const endpoints = [`http://127.0.0.1:${line.port}`, server.endpoint];
  const watcher = await openEtcdCoordinator({ ...base, endpoints, silentMs: 300 });
  const writer = await openEtcdCoordinator({ ...base, endpoints: [server.endpoint] });
  const afterRevision = await put(writer, 'w/0', '');
  const first = Promise.withResolvers<void>();
  const watching = watchUntil(watcher, 'w/', {
    afterRevision,
    last: (event) => {
      first.resolve();
      return names('w/3')(event);
    },
  });
  await put(writer, 'w/1', '');
  await first.promise;
  line.loseAnswers();
  await put(writer, 'w/2', '');
  await put(writer, 'w/3', '');
  const keys = (await watching).flatMap(({ changes }) => changes.map(({ key }) => key));
  assert.deepEqual(keys, ['w/1', 'w/2', 'w/3']);
  await Promise.all([watcher.close(), writer.close()]);
  await line.close();
});

test('options that contradict each other are refused before anything is sent', async () => {
  const open = (options: Partial<EtcdOptions>) =>
    openEtcdCoordinator({ ...base, endpoints: ['https://127.0.0.1:1'], ...options });
  await assert.rejects(open({ endpoints: [] }), fails('config'));
  await assert.rejects(open({ endpoints: ['http://10.0.0.1:2379'] }), fails('config'));
  await assert.rejects(open({ endpoints: ['http://127.0.0.1:1', 'https://127.0.0.1:2'] }), fails('config'));
  await assert.rejects(open({ certificate: 'x' }), fails('config'));
  await assert.rejects(open({ password: 'x' }), fails('config'));
  await assert.rejects(open({ cluster: 'a/b' }), fails('config'));
});

test('what answers but is not etcd is unavailable, whatever it says', async (t) => {
  const answers = ['', '<html>', 'null', '{}', '{"error":"x","code":14}', '[1]'];
  let asked = 0;
  const server = createServer((_, response) => {
    response.writeHead(asked % 2 === 0 ? 200 : 503).end(answers[asked++ % answers.length]);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const opening = openEtcdCoordinator({ ...base, endpoints: [`http://127.0.0.1:${port}`] });
  await assert.rejects(opening, fails('coordinatorUnavailable', 'coordinatorRefused'));
  assert.ok(asked > answers.length);
});

test('a cluster of three goes on when a member dies, when its leader is lost, and stops without a majority', async (t) => {
  const servers = await startEtcd(t, { members: 3 });
  if (!servers) return;
  const endpoints = servers.map(({ endpoint }) => endpoint);
  const [first, second] = servers as [EtcdServer, EtcdServer];
  const coordinator = await openEtcdCoordinator({ ...base, endpoints });
  const session = await coordinator.session({ ttlMs: 6000 });
  const revision = await put(coordinator, 'held', '', session.id);
  const watching = watchUntil(coordinator, 'w/', { afterRevision: revision, last: names('w/end') });
  const puts = async (name: string, count: number) => {
    for (let index = 0; index < count; index++) {
      // who was just writing when its server died may have to be told that nobody knows
      for (;;) {
        const done = await put(coordinator, `w/${name}${index}`, '').catch((error: unknown) => error);
        if (typeof done === 'number') break;
        fails('coordinatorUnavailable', 'coordinatorUncertain')(done);
      }
    }
  };
  await puts('a', 3);
  await first.stop();
  await puts('b', 3);
  await first.restart();
  await second.stop();
  await puts('c', 3);
  await second.restart();
  await puts('d', 3);
  assert.ok(!session.lost.aborted && (await get(coordinator, 'held')), 'its session lived through it');
  await put(coordinator, 'w/end', '');
  const keys = new Set((await watching).flatMap(({ changes }) => changes.map(({ key }) => key)));
  for (const name of ['a', 'b', 'c', 'd'])
    for (let index = 0; index < 3; index++) assert.ok(keys.has(`w/${name}${index}`));
  await first.stop();
  await second.stop();
  await assert.rejects(put(coordinator, 'x', ''), fails('coordinatorUnavailable', 'coordinatorUncertain'));
  await assert.rejects(coordinator.range(''), fails('coordinatorUnavailable'));
  await first.restart();
  await coordinator.range('');
  await coordinator.close();
});

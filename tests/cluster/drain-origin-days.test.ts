/** Bad days of the origin that is drained to: it fails, refuses, or does what was asked and does not say so. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MiB } from './fixture.ts';
import { type ClusterNode, eventually } from './node.ts';
import { expectBytes, put, ramp, type StagedCluster, stagedCluster, writes } from './staged.ts';

const DRAINED_MS = 90_000;
/** Long enough for the drain to have tried, and to wait between its tries. */
const AWAY_MS = 4000;

const isStub = (node: ClusterNode, key: string) => async () =>
  (await writes(node, key)).some((object) => object.key === key && object.kind === 'stub');

/** What the origin was asked of a key, in order. */
const asked = ({ fix }: StagedCluster, key: string, method: string) =>
  fix.origin.requests.filter((each) => each.key === key && each.method === method);

interface Conflicts {
  readonly conflicts: readonly { readonly key: string; readonly kind: string; readonly message: string }[];
}
const conflictsOf = async (node: ClusterNode) => (await node.admin<Conflicts>('/v1/conflicts')).conflicts;

test('S-13: an origin that fails, then refuses all credentials, and is well again: writes go on, and drain by themselves', async (t) => {
  const cluster = await stagedCluster(t, ['a', 'b'], { withServer: true });
  const [a, b] = cluster.nodes as [ClusterNode, ClusterNode];
  const { origin } = cluster.fix;
  await put(a, 'before', ramp(1000, 1));
  await eventually('the drain works', isStub(a, 'before'), DRAINED_MS);
  let seed = 2;
  for (const [status, code] of [
    [503, 'SlowDown'],
    [403, 'InvalidAccessKeyId'],
  ] as const) {
    origin.reset();
    origin.fail({ kind: 'status', status, code });
    const [small, large] = [`during ${status}`, `large during ${status}`];
    await put(a, small, ramp(1000, seed));
    await put(b, large, ramp(18 * MiB, seed));
    await sleep(AWAY_MS);
    await expectBytes(b, small, ramp(1000, seed));
    assert.deepEqual((await writes(a, small))[0]?.kind, 'dirty');
    assert.deepEqual(await conflictsOf(a), [], 'nobody has to decide anything');
    origin.reset();
    for (const key of [small, large]) await eventually(`${key} is drained`, isStub(a, key), DRAINED_MS);
    await expectBytes(b, large, ramp(18 * MiB, seed));
    seed += 1;
  }
});

test('S-8: a put and a finalise that were done and not answered are found by looking, and are no conflicts', async (t) => {
  const cluster = await stagedCluster(t, ['a', 'b'], { withServer: true });
  const [a, b] = cluster.nodes as [ClusterNode, ClusterNode];
  const { origin } = cluster.fix;
  origin.fail({ kind: 'unanswered', method: 'PUT', key: 'small', times: 1 });
  origin.fail({ kind: 'unanswered', method: 'COMPLETE', key: 'large', times: 1 });
  await put(a, 'small', ramp(1000, 1));
  await put(a, 'large', ramp(18 * MiB, 2));
  for (const key of ['small', 'large']) await eventually(`${key} is drained`, isStub(b, key), DRAINED_MS);
  assert.deepEqual(await conflictsOf(b), []);
  assert.deepEqual(
    asked(cluster, 'small', 'PUT')
      .map(({ status }) => status)
      .filter((status) => status === 200),
    [200],
  );
  assert.equal(asked(cluster, 'large', 'COMPLETE').filter(({ status }) => status === 200).length, 1);
  await put(b, 'small', ramp(10, 3));
  await eventually(
    'what replaces it is drained',
    async () => asked(cluster, 'small', 'PUT').filter(({ status }) => status === 200).length === 2,
    DRAINED_MS,
  );
  await expectBytes(a, 'small', ramp(10, 3));
});

test('S-13: a key that the origin refuses for good is kept and shown, and the rest goes on', async (t) => {
  const cluster = await stagedCluster(t, ['a', 'b'], { withServer: true });
  const [a, b] = cluster.nodes as [ClusterNode, ClusterNode];
  cluster.fix.origin.fail({ kind: 'status', method: 'PUT', key: 'x/refused', status: 400, code: 'KeyTooLongError' });
  await put(a, 'x/refused', ramp(500, 1), { 'x-forebay-ack': 'replicated' });
  await put(a, 'y/other', ramp(500, 2));
  await eventually('the rest is drained', isStub(a, 'y/other'), DRAINED_MS);
  await eventually('it is shown', async () => (await conflictsOf(b)).length === 1, DRAINED_MS);
  const [refused] = await conflictsOf(b);
  assert.deepEqual([refused?.key, refused?.kind], ['x/refused', 'refused']);
  for (const node of [a, b]) await expectBytes(node, 'x/refused', ramp(500, 1));
  assert.equal((await writes(a, 'x/refused'))[0]?.kind, 'dirty');
});

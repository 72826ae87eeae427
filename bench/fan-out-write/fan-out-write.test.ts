import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { requireNamespaces } from '../../tests/tools.ts';
import { Progress } from '../progress.ts';
import type { Result } from '../result.ts';
import { fanOutWriteScenario } from './fan-out-write-scenario.ts';
import type { KillTrial } from './loss.ts';

const QUIET = new Progress(Object.assign(Object.create(process.stderr) as NodeJS.WriteStream, { write: () => true }));

async function bench(t: TestContext, values: Readonly<Record<string, string | boolean>>): Promise<Result> {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-fan-out-test-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const small = { nodes: '3', scale: '16384', rounds: '1', link: '100', directory };
  const { result, plots } = await fanOutWriteScenario.run({ ...small, ...values }, QUIET);
  for (const svg of Object.values(plots)) assert.match(svg, /^<svg /);
  assert.deepEqual(readdirSync(directory), []);
  return result;
}

test('the baselines of a small bench of fan-out writes: the origin gets every byte, and an async copy loses what it has not copied', async (t) => {
  const result = await bench(t, {
    shaping: 'user',
    candidates: 'async,direct,plain',
    parts: 'links,kills',
    kills: '3',
  });
  for (const name of ['asyncExposedS', 'blockedDirectS', 'linkMBs', 'originMBs'])
    assert.ok((result.figures[name]?.median as number) > 0, name);
  assert.equal(result.figures['killTrials']?.median, 3);
  const trials = result.trials['kills'] as readonly KillTrial[];
  // what was at the origin before is always there
  for (const { restored, before } of trials) assert.ok((restored as number) >= before);
});

test('S-3: a small bench of fan-out writes: no step that was reported safe is lost with a node', async (t) => {
  if (!requireNamespaces(t)) return;
  const result = await bench(t, {
    shaping: 'kernel',
    candidates: 'checkpoint,local,async,plain',
    parts: 'links,restore,small,kills',
    kills: '2',
  });
  for (const name of [
    'safeFloorRatioS3',
    'durableRatio',
    'durableFromSaveRatioS3',
    'exposedSS3',
    'restoreFloorRatio',
    'openP99Ms',
    'commitsPerS',
  ])
    assert.ok((result.figures[name]?.median as number) > 0, name);
  assert.equal(result.figures['restoreOriginGets']?.high, 0);
  assert.equal(result.figures['lost']?.median, 0);
  assert.equal(result.figures['undrained']?.median, 0);
});

test('wrong options are named', async () => {
  const wrong: readonly (readonly [Readonly<Record<string, string>>, RegExp])[] = [
    [{ nodes: '1' }, /--nodes 1: expected a whole number from 2 to 64/],
    [{ profile: '9b' }, /--profile 9b: expected one of 8b, 70b, 405b, 1t/],
    [{ parts: 'stall,stairs' }, /--parts stairs: expected one of/],
    [{ candidates: 'rsync' }, /--candidates rsync: expected one of/],
    [{ kills: 'some' }, /--kills some: expected/],
  ];
  for (const [values, says] of wrong)
    await assert.rejects(async () => fanOutWriteScenario.run(values, QUIET), { name: 'WrongUse', message: says });
});

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { requireNamespaces } from '../../tests/tools.ts';
import { Child } from '../child.ts';
import { processTree } from '../process-usage.ts';
import { Progress } from '../progress.ts';
import type { Result } from '../result.ts';
import { fanOutReadScenario } from './fan-out-read-scenario.ts';

const QUIET = new Progress(Object.assign(Object.create(process.stderr) as NodeJS.WriteStream, { write: () => true }));

async function bench(t: TestContext, values: Readonly<Record<string, string | boolean>>): Promise<Result> {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-fan-out-test-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const small = { nodes: '3', chunks: '6', 'chunk-mib': '1', pairs: '1', directory };
  const { result, plots } = await fanOutReadScenario.run({ ...small, ...values }, QUIET);
  for (const svg of Object.values(plots)) assert.match(svg, /^<svg /);
  assert.deepEqual(readdirSync(directory), []);
  return result;
}

const medianOf = (result: Result, name: string): number | undefined => result.figures[name]?.median;

for (const shaping of ['kernel', 'user'] as const) {
  test(`S-11: a small bench of fan-out reads, links shaped in ${shaping} space: each byte is read from the origin once, also with a late, a slow and a killed node`, async (t) => {
    if (shaping === 'kernel' && !requireNamespaces(t)) return;
    const days = shaping === 'kernel' ? { late: true, slow: '1', kill: '1', predict: true } : {};
    const result = await bench(t, { shaping, link: '100', ...days });
    assert.match(String(result.parameters['shaping']), new RegExp(`^${shaping}`));
    // On a machine that hardly moves a holder may not answer in time; each refill must then be accounted for.
    const refills = result.figures['originRefills']?.high ?? 0;
    const most = 1 + (2 * refills) / 6;
    assert.ok((result.figures['originBytesRatio']?.high as number) <= most, `${refills} refills`);
    assert.ok((medianOf(result, 'originBytesRatio') as number) >= 1);
    if (refills === 0) assert.equal(medianOf(result, 'originTwiceBytes'), 0);
    for (const name of [
      'efficiency',
      'efficiencyS3',
      'speedup',
      'firstNodeS',
      'p50NodeS',
      'lastNodeS',
      'cpuBusy',
      'predictionError',
    ])
      assert.ok((medianOf(result, name) as number) > 0, name);
    if (shaping === 'user') return;
    assert.equal(medianOf(result, 'originBytesLate'), 0);
    assert.equal(medianOf(result, 'survivorsKill'), 2);
    assert.ok((medianOf(result, 'p50RatioSlow') as number) > 0);
    assert.ok((medianOf(result, 'predictionError2') as number) >= 0);
  });
}

test('Forebay beside itself gives one figure', async (t) => {
  const result = await bench(t, { shaping: 'user', link: '200', self: true });
  assert.deepEqual(Object.keys(result.figures), ['selfRatio']);
});

test('wrong options are named', async () => {
  const wrong: readonly (readonly [Readonly<Record<string, string>>, RegExp])[] = [
    [{ nodes: '1' }, /--nodes 1: expected a whole number from 2 to 64/],
    [{ nodes: '4', kill: '4' }, /--kill 4: expected a whole number from 0 to 3/],
    [{ link: 'fast' }, /--link fast: expected/],
    [{ shaping: 'magic' }, /--shaping magic: expected kernel or user/],
  ];
  for (const [values, says] of wrong)
    await assert.rejects(async () => fanOutReadScenario.run(values, QUIET), { name: 'WrongUse', message: says });
});

test('a bench that is interrupted leaves neither processes nor files', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-fan-out-test-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const command = join(import.meta.dirname, '..', '..', 'bin', 'forebay');
  const args = ['bench', 'fan-out-read', '--nodes', '2', '--chunks', '16', '--link', '20', '--directory', directory];
  const child = await Child.start(command, args);
  for await (const line of createInterface({ input: child.process.stderr as NodeJS.ReadableStream }))
    if (line.includes('not counted')) break;
  const started = processTree(child.pid).filter((pid) => pid !== child.pid);
  assert.ok(started.length > 4);
  child.process.kill('SIGINT');
  assert.equal(await child.ended(), 130);
  assert.deepEqual(started.filter(isAlive), []);
  assert.deepEqual(readdirSync(directory), []);
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Plan } from './plan.ts';
import { type PlanOptions, parseRate, planOptions } from './plan-options.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'main.ts');
const NEEDED = ['--nodes', '64', '--link', '100Gbit/s', '--origin-ingress', '25', '--checkpoint', '5.29TB'];

function plan(...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['--no-warnings', MAIN, 'plan', ...argv], (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });
}

test('rates are read as people write them', () => {
  const cases: [string, number | undefined][] = [
    ['100', 12.5e9],
    ['100Gbit', 12.5e9],
    ['100 Gbit/s', 12.5e9],
    ['100Gb/s', 12.5e9],
    ['250Mbps', 31.25e6],
    ['1.6Tbit/s', 200e9],
    ['5GB/s', 5e9],
    ['1GiB/s', 2 ** 30],
    ['5GB', undefined],
    ['-1', undefined],
    ['1e9', undefined],
    ['fast', undefined],
    ['', undefined],
  ];
  for (const [text, bytesPerS] of cases) assert.equal(parseRate(text), bytesPerS, text);
});

test('the four things that nobody can guess are enough; what is assumed is told', async () => {
  const { code, stdout } = await plan(...NEEDED);
  assert.equal(code, 0);
  assert.match(stdout, /^exposed +1,693 +33\.4 /m);
  assert.match(stdout, /share 82\.7 GB ÷ 5 GB\/s = 16\.5 s/);
  assert.match(stdout, /Assumed\n {2}8 GPUs per node/);
  assert.match(stdout, /safeFloorRatio 1\.51 \(1\.42–1\.67\): forebay bench/);
});

test('JSON has inputs, efficiencies with their sources, rows with formulas; flags and results come before what is built in', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-plan-test-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, 'results.json');
  const figure = (median: number) => ({ median, low: median, high: median, unit: '', verdict: 'met' });
  writeFileSync(
    file,
    JSON.stringify({ scenario: 'fan-out-write', figures: { safeFloorRatio: figure(1.2), durableRatio: figure(1) } }),
  );
  const more = ['--results', file, '--durable-ratio', '0.9', '--failures-per-month', '3', '--json'];
  const { code, stdout } = await plan(...NEEDED, ...more);
  assert.equal(code, 0);
  const told = JSON.parse(stdout) as Plan & PlanOptions;
  assert.equal(told.efficiencies.safeFloorRatio.value, 1.2);
  assert.match(told.efficiencies.safeFloorRatio.source, /results\.json \(fan-out-write\)/);
  assert.deepEqual(told.efficiencies.durableRatio, { value: 0.9, low: 0.9, high: 0.9, source: '--durable-ratio' });
  assert.ok(Math.abs(told.failuresPerMonth.value - 3) < 1e-9);
  const safe = told.rows.find(({ name }) => name === 'safe');
  assert.ok(Math.abs((safe?.forebay.value ?? 0) - 1.2 * 33.0625) < 1e-9);
  assert.match(safe?.forebay.formula ?? '', /^1\.2 × max\(/);
});

test('wrong use ends with 2 and a sentence', async () => {
  const { code, stderr, stdout } = await plan('--nodes', '64');
  assert.deepEqual([code, stdout], [2, '']);
  assert.match(stderr, /^forebay plan: --link is missing: expected a rate such as 100Gbit\/s/);
  assert.equal((await plan(...NEEDED, '--speed', '9')).code, 2);
});

test('what makes no sense is refused with what was expected', () => {
  const needed = { nodes: '64', link: '100', 'origin-ingress': '25', checkpoint: '5.29TB' };
  const wrong: [Record<string, string | string[]>, RegExp][] = [
    [{ nodes: '1' }, /--nodes 1: expected a whole number from 2/],
    [{ nodes: '6.5' }, /--nodes 6\.5/],
    [{ link: '0' }, /--link 0: expected a rate/],
    [{ link: '10 furlongs' }, /--link 10 furlongs/],
    [{ checkpoint: '5.29' }, /--checkpoint 5\.29: expected a size such as/],
    [{ checkpoint: '0GB' }, /--checkpoint 0GB/],
    [{ interval: '30' }, /--interval 30: expected a time/],
    [{ interval: '0s' }, /--interval 0s/],
    [{ replicas: '1' }, /--replicas 1/],
    [{ nodes: '2', replicas: '3' }, /there are only 2 nodes/],
    [{ unevenness: '65' }, /--unevenness 65/],
    [{ 'node-mtbf': '1h', 'failures-per-month': '2' }, /give one of them/],
    [{ efficiency: '1.1' }, /--efficiency 1\.1: expected a number from 0\.01 to 1/],
    [{ 'stall-ratio': 'x' }, /--stall-ratio x/],
    [{ results: ['/nowhere/results.json'] }, /--results \/nowhere/],
    [{ results: [import.meta.filename] }, /--results .*JSON/],
  ];
  for (const [values, says] of wrong)
    assert.throws(() => planOptions({ ...needed, ...values }), { name: 'WrongUse', message: says });
  assert.equal(planOptions(needed).inputs.egressBytesPerS, 3.125e9);
});

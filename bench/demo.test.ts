import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { OriginCounts } from './origin-log.ts';
import { patternSlices } from './pattern.ts';

const MAIN = join(import.meta.dirname, 'demo.ts');
const MiB = 1 << 20;

function demo(
  argv: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const source = `import { demoMain } from ${JSON.stringify(MAIN)}; process.exitCode = await demoMain(process.argv.slice(1));`;
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--input-type=module', '-e', source, '--', ...argv],
      { env: { ...process.env, ...environment } },
      (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });
}

test('S-11: a folder of one’s own is read once from the origin for all nodes, then never, a killed node harms nobody, and nothing is left behind', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-demo-test-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const [input, temporary] = [join(directory, 'input'), join(directory, 'tmp')];
  mkdirSync(join(input, 'deep er'), { recursive: true });
  mkdirSync(temporary);
  writeFileSync(join(input, 'large'), Buffer.concat([...patternSlices(1, 40 * MiB)]));
  writeFileSync(join(input, 'deep er', 'smäll + 1'), 'hello');
  writeFileSync(join(input, 'empty'), '');
  const bytes = 40 * MiB + 5;
  const { code, stdout, stderr } = await demo(['--input', input, '--nodes', '3', '--seconds', '3', '--json'], {
    TMPDIR: temporary,
    // else the compiled code would be kept there
    NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? join(tmpdir(), 'forebay-test-compile'),
  });
  assert.equal(code, 0, stderr);
  const { phases } = JSON.parse(stdout) as {
    phases: { bytes: number; verified: number; finished: number; origin: OriginCounts }[];
  };
  const [direct, cold, warm, killed, restarted] = phases.map((phase) => phase.origin.getBytes) as [
    ...[number, number, number, number, number],
  ];
  assert.deepEqual([direct, cold, warm, restarted], [3 * bytes, bytes, 0, 0]);
  assert.ok(killed >= bytes && killed <= 1.9 * bytes, `${killed} of ${bytes}`);
  assert.deepEqual(
    phases.map((phase) => phase.finished),
    [3, 3, 3, 2, 3],
  );
  for (const phase of phases)
    assert.deepEqual([phase.bytes, phase.verified], [phase.finished * bytes, 3 * phase.finished]);
  assert.deepEqual(readdirSync(temporary), []);
});

test('the table fits 80 columns, and one sentence says what it means', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-demo-test-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(join(directory, 'weights'), Buffer.concat([...patternSlices(1, 8 * MiB)]));
  const { code, stdout, stderr } = await demo([
    '--input',
    join(directory, 'weights'),
    '--nodes',
    '2',
    '--seconds',
    '1',
  ]);
  assert.equal(code, 0, stderr);
  const names = [
    'each from the origin',
    'Forebay, cold',
    'Forebay, warm',
    'Forebay, a node killed',
    'Forebay, after restart',
  ];
  for (const name of names) assert.ok(stdout.includes(`\n${name} `), stdout);
  assert.match(stdout, /Without Forebay 2 nodes waited [\d.]+ s and the origin sent 2\.0 copies;\nwith it/);
  for (const line of stdout.split('\n')) assert.ok(line.length <= 80, line);
});

test('wrong use of the demo ends with 2 and says what is wrong', async () => {
  const wrong: [string[], RegExp][] = [
    [['--input', '/no/such/file'], /there is no \/no\/such\/file/],
    [['--nodes', '1'], /--nodes is 2 to 8/],
    [['--quick'], /--quick/],
  ];
  for (const [argv, says] of wrong) {
    const { code, stderr } = await demo(argv);
    assert.equal(code, 2);
    assert.match(stderr, says);
  }
});

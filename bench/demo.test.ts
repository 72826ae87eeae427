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

test('a folder of one’s own is read once from the origin, then never, and nothing is left behind', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-demo-test-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const [input, temporary] = [join(directory, 'input'), join(directory, 'tmp')];
  mkdirSync(join(input, 'deep er'), { recursive: true });
  mkdirSync(temporary);
  writeFileSync(join(input, 'large'), Buffer.concat([...patternSlices(1, 20 * MiB)]));
  writeFileSync(join(input, 'deep er', 'smäll + 1'), 'hello');
  writeFileSync(join(input, 'empty'), '');
  const bytes = 20 * MiB + 5;
  const { code, stdout, stderr } = await demo(['--input', input, '--readers', '3', '--seconds', '1.5', '--json'], {
    TMPDIR: temporary,
  });
  assert.equal(code, 0, stderr);
  const { phases } = JSON.parse(stdout) as { phases: { bytes: number; verified: number; origin: OriginCounts }[] };
  assert.deepEqual(
    phases.map((phase) => phase.origin.getBytes),
    [3 * bytes, bytes, 0, 0],
  );
  for (const phase of phases) assert.deepEqual([phase.bytes, phase.verified], [3 * bytes, 9]);
  assert.deepEqual(readdirSync(temporary), []);
});

test('the table fits 80 columns', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-demo-test-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(join(directory, 'weights'), Buffer.concat([...patternSlices(1, 2 * MiB)]));
  const { code, stdout, stderr } = await demo(['--input', join(directory, 'weights'), '--seconds', '0.5']);
  assert.equal(code, 0, stderr);
  for (const name of ['direct from the origin', 'Forebay, cold', 'Forebay, warm', 'Forebay, after restart'])
    assert.ok(stdout.includes(`\n${name} `), stdout);
  for (const line of stdout.split('\n')) assert.ok(line.length <= 80, line);
});

test('wrong use of the demo ends with 2 and says what is wrong', async () => {
  const wrong: [string[], RegExp][] = [
    [['--input', '/no/such/file'], /there is no \/no\/such\/file/],
    [['--readers', '0'], /--readers is 1 to 32/],
    [['--quick'], /--quick/],
  ];
  for (const [argv, says] of wrong) {
    const { code, stderr } = await demo(argv);
    assert.equal(code, 2);
    assert.match(stderr, says);
  }
});

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

const MAIN = join(import.meta.dirname, 'main.ts');

/** Runs benchMain as the command line does. */
function bench(...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const source = `import { benchMain } from ${JSON.stringify(MAIN)}; process.exitCode = await benchMain(process.argv.slice(1));`;
  return new Promise((resolve) => {
    execFile(process.execPath, ['--input-type=module', '-e', source, '--', ...argv], (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });
}

test('help names the scenario and every figure', async () => {
  const { code, stdout } = await bench('--help');
  assert.equal(code, 0);
  assert.match(stdout, /forebay bench local[\s\S]*s3HitRatio[\s\S]*memoryPeakMiB/);
});

test('wrong use ends with 2 and says what is wrong', async () => {
  const wrong: [string[], RegExp][] = [
    [[], /name a scenario/],
    [['fan'], /unknown scenario: fan/],
    [['local', '--only', 'speed'], /unknown figure: speed/],
    [['local', '--fast'], /--fast/],
  ];
  for (const [argv, says] of wrong) {
    const { code, stderr } = await bench(...argv);
    assert.equal(code, 2);
    assert.match(stderr, says);
  }
});

/** The static part of CI, under a minute: format and lint (Biome, oxlint with types), types, layers, dead code. All run at once; each prints its own complaints. */
import { spawn } from 'node:child_process';
import { performance } from 'node:perf_hooks';

const bin = (name: string) => `node_modules/.bin/${name}`;
const STEPS: readonly (readonly [string, readonly string[]])[] = [
  ['format and lint', [bin('biome'), 'check', '--error-on-warnings', '.']],
  ['types', [bin('tsc'), '-p', '.']],
  [
    'lint with types',
    [bin('oxlint'), '--type-aware', '--deny-warnings', 'src', 'sim', 'bench', 'room', 'tests', 'scripts'],
  ],
  ['dead code', [bin('knip'), '--no-progress']],
  ['layers', [process.execPath, '--test', 'tests/layers.test.ts']],
];

async function run([name, command]: readonly [string, readonly string[]]): Promise<boolean> {
  const from = performance.now();
  const child = spawn(command[0] as string, command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });
  const output: Buffer[] = [];
  child.stdout.on('data', (data: Buffer) => output.push(data));
  child.stderr.on('data', (data: Buffer) => output.push(data));
  const code = await new Promise<number | null>((resolve) => {
    child.on('close', resolve);
    child.on('error', () => resolve(-1));
  });
  const seconds = ((performance.now() - from) / 1000).toFixed(1);
  process.stdout.write(`${code === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)\n`);
  if (code !== 0) process.stdout.write(Buffer.concat(output));
  return code === 0;
}

const results = await Promise.all(STEPS.map(run));
process.exitCode = results.every(Boolean) ? 0 : 1;

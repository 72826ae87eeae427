import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { runSeed } from './run.ts';

const SCENARIOS = ['read-cache', 'cluster'];

const RUN = `
const { runSeed } = await import(${JSON.stringify(new URL('./run.ts', import.meta.url).href)});
const hashes = {};
for (const seed of process.argv.slice(2).map(Number)) {
  hashes[seed] = (await runSeed({ seed, scenario: process.argv[1] })).hash;
}
process.stdout.write(JSON.stringify(hashes));`;

/** The hashes of seeds, run in this order in a process of their own. */
async function hashes(scenario: string, seeds: readonly number[]): Promise<Record<string, string>> {
  const argv = [
    '--disable-warning=ExperimentalWarning',
    '--input-type=module',
    '-e',
    RUN,
    scenario,
    ...seeds.map(String),
  ];
  const { stdout } = await promisify(execFile)(process.execPath, argv);
  return JSON.parse(stdout);
}

for (const scenario of SCENARIOS) {
  test(`${scenario}: the same seed gives the same trace in two processes, whatever ran before it`, async () => {
    const seeds = [7, 19, 42, 57];
    const [forwards, backwards] = await Promise.all([hashes(scenario, seeds), hashes(scenario, seeds.toReversed())]);
    assert.deepEqual(forwards, backwards);
    assert.equal(new Set(Object.values(forwards)).size, seeds.length, 'different seeds differ');
    const here = await runSeed({ seed: 42, scenario });
    assert.equal(here.hash, forwards['42']);
  });
}

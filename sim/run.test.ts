import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { drawOptions, runSeed, type SeedResult, shrink } from './run.ts';
import type { NodeStart } from './sim-node.ts';
import { startNode } from './start-node.ts';

const SEEDS = 100;
const CLUSTER_SEEDS = 40;

/** Runs code in a process of its own: node:test watches promises, which makes them slow, and takes rejections for its own. */
async function run(code: string): Promise<{ exitCode: number; lines: string[] }> {
  const imports = `
    const { simMain } = await import(${JSON.stringify(new URL('./main.ts', import.meta.url).href)});
    const { runSeed } = await import(${JSON.stringify(new URL('./run.ts', import.meta.url).href)});
    const { startNode } = await import(${JSON.stringify(new URL('./start-node.ts', import.meta.url).href)});`;
  const argv = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', `${imports}\n${code}`];
  const running = promisify(execFile)(process.execPath, argv, { maxBuffer: 1 << 26 });
  const { stdout, stderr, code: exitCode = 0 } = await running.catch((error) => error);
  if (typeof exitCode !== 'number' || stderr !== '') process.stderr.write(stderr);
  return { exitCode, lines: stdout.split('\n').filter((line: string) => line !== '') };
}

test(`S-1, S-2, S-9, S-11, S-12, S-14: they hold in ${SEEDS} seeds of the read cache`, async () => {
  const argv = `['--seeds', '${SEEDS}', '--scenario', 'read-cache']`;
  const { exitCode, lines } = await run(`process.exitCode = await simMain(${argv});`);
  assert.equal(exitCode, 0, lines.join('\n'));
  assert.match(lines[0] ?? '', /^seeds 0 to 99 commit \S+ scenario read-cache/);
  assert.match(lines.at(-1) ?? '', /^100 seeds, 0 failed/);
});

test(`S-1, S-2, S-9, S-11, S-13, S-15, S-16: they hold in ${CLUSTER_SEEDS} seeds of a cluster`, async () => {
  const argv = `['--seeds', '${CLUSTER_SEEDS}', '--scenario', 'cluster']`;
  const { exitCode, lines } = await run(`process.exitCode = await simMain(${argv});`);
  assert.equal(exitCode, 0, lines.join('\n'));
  assert.match(lines.at(-1) ?? '', new RegExp(`^${CLUSTER_SEEDS} seeds, 0 failed`));
});

test('without a scenario, all of them are run', async () => {
  const { exitCode, lines } = await run(`process.exitCode = await simMain(['--seeds', '2', '--jobs', '1']);`);
  assert.equal(exitCode, 0, lines.join('\n'));
  for (const scenario of ['read-cache', 'cluster'])
    assert.ok(
      lines.some((line) => new RegExp(`^seeds 0 to 1 commit \\S+ scenario ${scenario}`).test(line)),
      scenario,
    );
});

test('the first line of a seed has its options, the last one its hash; a failure comes with the command that repeats it', async () => {
  const sound = await run(`process.exitCode = await simMain(['--seed', '3', '--scenario', 'read-cache']);`);
  assert.equal(sound.exitCode, 0);
  assert.match(sound.lines[0] ?? '', /^seed 3 commit \S+ scenario read-cache objects=\d+ clients=\d+/);
  assert.match(sound.lines.at(-1) ?? '', /^trace hash [0-9a-f]{16}$/);
  const damaged = `['--seeds', '40', '--sabotage', 'drop-write', '--set', 'verify=arrival', '--set', 'capacityMiB=40']`;
  const failed = await run(`process.exitCode = await simMain(${damaged});`);
  assert.equal(failed.exitCode, 1);
  assert.ok(failed.lines.some((line) => /^FAILED S-(1|9) at /.test(line)));
  const repeat = failed.lines.find((line) => line.startsWith('repeat: npm run sim -- ')) ?? '';
  const argv = repeat.slice('repeat: npm run sim -- '.length).split(' ');
  const again = await run(`process.exitCode = await simMain(${JSON.stringify(argv)});`);
  assert.equal(again.exitCode, 1, `${repeat} fails again`);
});

test('wrong use ends with 2 and says what there is', async () => {
  for (const argv of [
    [],
    ['--seed', 'x'],
    ['--seeds', '1', '--set', 'bogus=1'],
    ['--seed', '1', '--scenario', 'none'],
    ['--seed', '1', '--scenario', 'cluster', '--sabotage', 'drop-write'],
  ]) {
    const { exitCode } = await run(
      `process.stderr.write = () => true; process.exitCode = await simMain(${JSON.stringify(argv)});`,
    );
    assert.equal(exitCode, 2, argv.join(' '));
  }
});

test('options are drawn from the seed, and overrides take their place', () => {
  const drawn = drawOptions({ seed: 3, scenario: 'read-cache' });
  assert.deepEqual(drawOptions({ seed: 3, scenario: 'read-cache' }), drawn);
  assert.notDeepEqual(drawOptions({ seed: 4, scenario: 'read-cache' }), drawn);
  assert.equal(drawOptions({ seed: 3, scenario: 'read-cache', overrides: { clients: 99 } })['clients'], 99);
  assert.throws(() => drawOptions({ seed: 3, scenario: 'none' }), /no scenario "none"; there are read-cache, cluster/);
});

test('a node that never answers is a finding of liveness', async () => {
  const neverOpens = async (start: NodeStart) => {
    const node = await startNode(start);
    const reader = new Proxy(node.reader, {
      get: (target, name: keyof typeof node.reader) =>
        name === 'open' ? () => new Promise<never>(() => {}) : target[name]?.bind(target),
    });
    return { ...node, reader };
  };
  const { findings } = await runSeed({ seed: 5, scenario: 'read-cache', startNode: neverOpens });
  assert.equal(findings[0]?.promise, 'liveness');
});

test('a node that does not start, and a rejection that nobody handles, are findings', async () => {
  const broken = () => Promise.reject(new Error('no'));
  const { findings } = await runSeed({ seed: 5, scenario: 'read-cache', startNode: broken });
  assert.match(findings[0]?.message ?? '', /life 1 does not start: Error: no/);
  const { lines } = await run(`
    const careless = (start) => { void Promise.reject(new Error('nobody looks')); return startNode(start); };
    const { findings } = await runSeed({ seed: 5, scenario: 'read-cache', startNode: careless });
    process.stdout.write(JSON.stringify(findings[0].message));`);
  assert.match(lines[0] ?? '', /nobody handles: Error: nobody looks/);
});

test('a failing seed is shrunk to fewer faults that still break the same promise', async () => {
  const overrides = { verify: 'arrival', capacityMiB: 40 };
  const damaged = { scenario: 'read-cache', overrides, sabotage: 'drop-write' } as const;
  let failed: SeedResult | undefined;
  for (let seed = 0; failed === undefined; seed++) {
    const result = await runSeed({ ...damaged, seed });
    if (result.findings.length > 0) failed = result;
  }
  const smallest = await shrink({ ...damaged, seed: failed.seed }, failed, 20);
  assert.equal(smallest.findings[0]?.promise, failed.findings[0]?.promise);
  assert.ok(Object.keys(smallest.overrides).length > Object.keys(overrides).length, 'something was taken away');
});

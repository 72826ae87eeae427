import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { requireNamespaces, requireTool } from '../../tests/tools.ts';
import { Progress } from '../progress.ts';
import type { Result } from '../result.ts';
import { runFanInRead } from './fan-in-read.ts';
import { fanInReadScenario } from './fan-in-read-scenario.ts';
import type { FanInReadOptions } from './part.ts';
import { CONVERSATION_TRACE } from './trace.ts';

const KiB = 1024;
const QUIET = new Progress(Object.assign(Object.create(process.stderr) as NodeJS.WriteStream, { write: () => true }));

async function bench(t: TestContext, change: Partial<FanInReadOptions>): Promise<Result> {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-fan-in-test-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const { result, plots } = await runFanInRead(
    {
      nodes: 2,
      linkMbit: 200,
      shaping: 'kernel',
      blocks: 8,
      blockBytes: 256 * KiB,
      pairs: 1,
      shortPairs: 1,
      loads: [
        { name: '1KiB', sizeBytes: KiB, keys: 8, gets: 200, sets: 16 },
        { name: '1MiB', sizeBytes: 1024 * KiB, keys: 8, gets: 16, sets: 8 },
      ],
      probeLookups: 8,
      pressLookups: 250,
      pressNodes: 1,
      traceFile: CONVERSATION_TRACE,
      traceRequestsMax: 60,
      speed: 100,
      cacheBlocks: [400],
      slow: false,
      dead: false,
      self: false,
      full: false,
      only: [],
      directory,
      ...change,
    },
    QUIET,
  );
  for (const svg of Object.values(plots)) assert.match(svg, /^<svg /);
  assert.deepEqual(readdirSync(directory), []);
  return result;
}

const medianOf = (result: Result, name: string): number => {
  const figure = result.figures[name];
  assert.ok(figure, `${name} is among ${Object.keys(result.figures).join(', ')}`);
  return figure.median;
};

test('S-10: a small gather over shaped links has its figures, also with a slow and a dead node', async (t) => {
  if (!requireNamespaces(t) || requireTool(t, 'redis-server') === undefined) return;
  const result = await bench(t, { only: ['gatherEfficiency'], slow: true, dead: true });
  for (const name of [
    'gatherEfficiency',
    'gatherSpeedup',
    'lookupP99Ms',
    'getP99Ms',
    'gatherEfficiencySlow',
    'lookupP99MsDead',
  ])
    assert.ok(medianOf(result, name) > 0, name);
  // What the dead node had, and nothing else.
  assert.equal(medianOf(result, 'gatherMissesDead'), 4);
});

test('values of any size are measured beside redis, speed and CPU time', async (t) => {
  if (requireTool(t, 'redis-server') === undefined) return;
  const result = await bench(t, { only: ['redisRatio'] });
  for (const size of ['1KiB', '1MiB'])
    for (const name of ['redisRatio', 'redisCpuRatio', 'redisSetRatio'])
      assert.ok(medianOf(result, `${name}${size}`) > 0);
});

test('S-10: what lookups promise at a cache that is too small is there', async (t) => {
  const result = await bench(t, { only: ['promisedThenMissed'] });
  assert.equal(medianOf(result, 'promisedThenMissed'), 0);
  assert.match(String(result.figures['promisedThenMissed']?.beside), /25\d lookups/);
});

test('a piece of the trace hits what an ideal LRU would have hit', async (t) => {
  const result = await bench(t, { only: ['traceHitRatio'] });
  assert.ok(medianOf(result, 'traceHitRatio400') > 0.8);
});

test('wrong options are named', async () => {
  const wrong: readonly (readonly [Readonly<Record<string, string | readonly string[]>>, RegExp])[] = [
    [{ nodes: '1' }, /--nodes 1: expected a whole number from 2 to 64/],
    [{ trace: '/nowhere/trace.jsonl' }, /--trace \/nowhere\/trace\.jsonl: there is no such file/],
    [{ speed: '0' }, /--speed 0: expected a number from 0\.1/],
    [{ 'cache-blocks': 'many' }, /--cache-blocks many: expected/],
    [{ only: ['speed'] }, /unknown figure: speed/],
    [{ shaping: 'magic' }, /--shaping magic: expected kernel or user/],
  ];
  for (const [values, says] of wrong)
    await assert.rejects(async () => fanInReadScenario.run(values, QUIET), { name: 'WrongUse', message: says });
});

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { environmentOf } from './environment.ts';
import { barsSvg, seriesSvg } from './plot.ts';
import { alignedTable, appendHistory, figure, type Result, resultTable, shown, single, writeResult } from './result.ts';

const result: Result = {
  scenario: 'local',
  environment: environmentOf(tmpdir()),
  parameters: { pairs: 30 },
  figures: {
    s3HitRatio: figure({ median: 1.2, low: 1.1, high: 1.3 }, '', {
      target: { atLeast: 1 },
      beside: 'nginx <1.1> GB/s',
    }),
    idleRssMiB: single(160, 'MiB', { target: { atMost: 150 } }),
    fillCpuPerGB: single(0.71828, 's/GB'),
  },
  trials: { s3HitRatio: [1, 2, 3] },
};

test('a result is written whole, and its figures are appended to the history without the trials', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-result-'));
  t.after(() => rmSync(directory, { recursive: true }));
  writeResult(result, join(directory, 'deep', 'result.json'));
  assert.deepEqual(JSON.parse(readFileSync(join(directory, 'deep', 'result.json'), 'utf8')), result);
  appendHistory(result, join(directory, 'history'));
  appendHistory(result, join(directory, 'history'));
  const lines = readFileSync(join(directory, 'history'), 'utf8').trim().split('\n');
  assert.equal(lines.length, 2);
  const { trials: _, ...kept } = result;
  assert.deepEqual(JSON.parse(lines[1]!), kept);
});

test('the table shows target, verdict and what is beside', () => {
  const lines = resultTable(result, false).split('\n');
  assert.match(lines[0]!, /^local · \d+ cores, Linux .*, commit \w+/);
  assert.equal(lines[4], 's3HitRatio    1.2         1.1–1.3   ≥ 1     met      nginx <1.1> GB/s');
  assert.equal(lines[5], 'idleRssMiB    160 MiB               ≤ 150   missed');
  assert.equal(lines[6], 'fillCpuPerGB  0.718 s/GB                    shown');
  assert.ok(resultTable(result, true).includes('\u001b[31mmissed\u001b[0m'));
});

test('a figure measured under conditions that do not count is inconclusive', () => {
  const interval = { median: 2, low: 2, high: 2 };
  assert.equal(figure(interval, '', { target: { atLeast: 1 }, inconclusive: true }).verdict, 'inconclusive');
  assert.equal(figure(interval, '', { inconclusive: true }).verdict, 'shown');
});

test('numbers are shown with three digits that count', () => {
  assert.deepEqual([0.123456, 12.345, 1234.5, 20000, 1e7].map(shown), [
    '0.123',
    '12.3',
    '1,235',
    '20000',
    '10,000,000',
  ]);
});

test('cells of a table align by characters, not bytes', () => {
  assert.equal(
    alignedTable([
      ['a', 'b'],
      ['ü–', 'x'],
    ]),
    'a   b\n─────\nü–  x',
  );
});

test('plots are one SVG element that needs nothing else, with text escaped', () => {
  const bars = barsSvg({
    title: 'a < b',
    unit: 's/GB',
    bars: [
      { label: 'Forebay', value: 0.2, low: 0.1, high: 0.3 },
      { label: 'nginx & co', value: 0.4 },
    ],
  });
  const series = seriesSvg({
    title: 'memory',
    x: 's',
    y: 'MiB',
    limit: { value: 512, label: 'bound' },
    series: [
      {
        label: 'resident',
        points: [
          [0, 100],
          [1, 200],
        ],
      },
    ],
  });
  for (const svg of [bars, series]) {
    assert.match(svg, /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" [\s\S]*<\/svg>\n$/);
    assert.doesNotMatch(svg, /NaN|undefined|href/);
    assert.equal(svg.match(/<text/g)?.length, svg.match(/<\/text>/g)?.length);
  }
  assert.match(bars, /a &lt; b[\s\S]*nginx &amp; co/);
});

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parametersOf, simulateMain } from './simulate.ts';

test('a simulation meets its targets, and writes its result and its plot', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-simulate-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const [json, plot] = [join(directory, 'result.json'), join(directory, 'plot.svg')];
  assert.equal(simulateMain(['fan-out-read', '--slow', '1', '--json', json, '--plot', plot]), 0);
  const { scenario, parameters, figures, trials } = JSON.parse(readFileSync(json, 'utf8'));
  assert.equal(scenario, 'simulate fan-out-read');
  assert.equal(parameters.policy, 'dealt');
  assert.equal(figures.messagesPerChunkAndNode.verdict, 'met');
  assert.equal(figures.p50RatioSlow.verdict, 'met');
  assert.equal(trials.run.length, 1);
  assert.match(readFileSync(plot, 'utf8'), /^<svg /);
});

test('a simulated checkpoint has its figures, its trial and its plot', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-simulate-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const [json, plot] = [join(directory, 'result.json'), join(directory, 'plot.svg')];
  assert.equal(simulateMain(['fan-out-write', '--profile', '8b', '--nodes', '4', '--json', json, '--plot', plot]), 0);
  const { scenario, parameters, figures, trials } = JSON.parse(readFileSync(json, 'utf8'));
  assert.equal(scenario, 'simulate fan-out-write');
  assert.equal(parameters.profile, '8b');
  assert.ok(figures.exposedS.median < figures.asyncExposedS.median);
  assert.equal(trials.run.length, 1);
  assert.match(readFileSync(plot, 'utf8'), /^<svg /);
});

test('a simulated gather has its figures, its trial and its plot', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-simulate-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const [json, plot] = [join(directory, 'result.json'), join(directory, 'plot.svg')];
  assert.equal(simulateMain(['fan-in-read', '--readers', '4', '--values', '16', '--json', json, '--plot', plot]), 0);
  const { scenario, parameters, figures, trials } = JSON.parse(readFileSync(json, 'utf8'));
  assert.equal(scenario, 'simulate fan-in-read');
  assert.equal(parameters.readers, 4);
  assert.ok(figures.gatherEfficiency.median > 0.5 && figures.gatherSpeedup.median > 2);
  assert.equal(trials.run.length, 1);
  assert.match(readFileSync(plot, 'utf8'), /^<svg /);
});

test('wrong use ends with 2 and simulates nothing', () => {
  for (const argv of [
    [],
    ['fan-out-sideways'],
    ['fan-out-write', '--profile', '9b'],
    ['fan-out-write', '--nodes', '1'],
    ['fan-out-write', '--chunks', '8'],
    ['fan-out-read', '--nodes', '1'],
    ['fan-in-read', '--readers', '10'],
    ['fan-in-read', '--chunks', '8'],
    ['fan-out-read', '--policy', 'torrent'],
    ['fan-out-read', '--policy', 'ring', '--kill', '0.1'],
    ['fan-out-read', '--kill', 'some'],
    ['fan-out-read', '--unknown'],
  ])
    assert.equal(simulateMain(argv), 2, argv.join(' '));
});

test('parameters have the defaults that the help names', () => {
  const { nodes, chunks, originLinks, chunkBytes, linkBytesPerS } = parametersOf({});
  assert.deepEqual({ nodes, chunks, originLinks }, { nodes: 8, chunks: 64, originLinks: 1 });
  assert.deepEqual({ chunkBytes, linkBytesPerS }, { chunkBytes: 16 << 20, linkBytesPerS: 1.25e9 });
});

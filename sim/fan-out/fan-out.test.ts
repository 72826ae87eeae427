/** Small versions of what `forebay simulate fan-out-read --sweep` shows at full size. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type FanOutFigures, floorMs, POLICIES, type PolicyName, simulateFanOut } from './fan-out.ts';
import type { FanOutParameters } from './world.ts';

const base: FanOutParameters = {
  nodes: 8,
  chunks: 64,
  originLinks: 1,
  chunkBytes: 16 << 20,
  linkBytesPerS: 1.25e9,
  latencyMs: 0.25,
  spread: 0,
  slow: 0,
  kill: 0,
  detectMs: 1000,
  leaseMs: 10_000,
  seed: 1,
};

const run = (change: Partial<FanOutParameters>, policy: PolicyName = 'dealt'): FanOutFigures =>
  simulateFanOut(policy, { ...base, ...change });

test('the floor is the slowest of origin, link, and all bytes over all links', () => {
  const spanMs = (1000 * 64 * base.chunkBytes) / base.linkBytesPerS;
  assert.equal(floorMs(base), spanMs);
  assert.equal(floorMs({ ...base, originLinks: 0.5 }), 2 * spanMs);
  assert.equal(floorMs({ ...base, spread: 0.25 }), 1.25 * spanMs);
  assert.equal(floorMs({ ...base, originLinks: 0.25, nodes: 2 }), 4 * spanMs);
});

test('8 nodes, 64 chunks, origin of one link: efficiency of 0.90 at least, each byte from the origin once, at most 6 messages', () => {
  for (const originLinks of [1, 2, 8]) {
    const { efficiency, originBytesRatio, messagesPerChunkAndNode } = run({ originLinks });
    assert.ok(efficiency >= 0.9, `${efficiency}`);
    assert.equal(originBytesRatio, 1);
    assert.ok(messagesPerChunkAndNode <= 6, `${messagesPerChunkAndNode}`);
  }
});

test('64 nodes, 512 chunks, origin of two links: efficiency of 0.95 at least', () => {
  const { efficiency, originBytesRatio, messagesPerChunkAndNode } = run({ nodes: 64, chunks: 512, originLinks: 2 });
  assert.ok(efficiency >= 0.95, `${efficiency}`);
  assert.equal(originBytesRatio, 1);
  assert.ok(messagesPerChunkAndNode <= 6);
});

test('arrivals spread over a third of the makespan: 0.90 at least, by links as by the directory', () => {
  const spread = { nodes: 48, chunks: 128, originLinks: 2, spread: 1 / 3 };
  assert.ok(run(spread).efficiency >= 0.9);
  const { efficiency, messagesPerChunkAndNode } = run(spread, 'directory');
  assert.ok(efficiency >= 0.85, `${efficiency}`);
  assert.ok(messagesPerChunkAndNode <= 6, `${messagesPerChunkAndNode}`);
});

test('one node at a tenth of the bandwidth: the others take at most a tenth longer', () => {
  for (const change of [
    { nodes: 8, originLinks: 1 },
    { nodes: 8, originLinks: 2 },
    { nodes: 24, originLinks: 2 },
  ]) {
    const without = run(change);
    const { p50NodeMs } = run({ ...change, slow: 1 });
    assert.ok(p50NodeMs <= 1.1 * without.p50NodeMs, `${p50NodeMs} against ${without.p50NodeMs}`);
  }
});

test('5 % of the nodes die midway: the others finish within 1.3 times, and the origin is read 1.1 times at most', () => {
  const change = { nodes: 60, chunks: 512, originLinks: 2 };
  const without = run(change);
  const { makespanMs, originBytesRatio } = run({ ...change, kill: 0.05 });
  assert.ok(makespanMs <= 1.3 * without.makespanMs, `${makespanMs} against ${without.makespanMs}`);
  assert.ok(originBytesRatio <= 1.1, `${originBytesRatio}`);
});

test('links beat a directory, and a directory owners that serve everyone', () => {
  const [dealt, directory, ring] = POLICIES.map(
    (policy) => run({ nodes: 32, chunks: 128, originLinks: 8 }, policy).efficiency,
  );
  assert.ok((dealt as number) > (directory as number) && (directory as number) > (ring as number));
});

test('the same seed gives the same figures, another one others', () => {
  const change = { nodes: 20, kill: 0.1 };
  assert.deepEqual(run(change), run(change));
  assert.notDeepEqual(run(change).samples, run({ ...change, seed: 2 }).samples);
});

test('every chunk ends on every node that lives, whatever nodes, sizes, arrivals, slow and dying ones; without these the origin is read once', () => {
  const parameters = fc.record({
    nodes: fc.integer({ min: 2, max: 30 }),
    chunks: fc.integer({ min: 1, max: 40 }),
    originLinks: fc.constantFrom(0.25, 1, 4),
    spread: fc.constantFrom(0, 0.3, 3),
    slow: fc.constantFrom(0, 0, 1),
    kill: fc.constantFrom(0, 0, 0.1, 0.4),
    seed: fc.nat(1000),
  });
  fc.assert(
    fc.property(parameters, fc.constantFrom('dealt' as const, 'directory' as const), (drawn, policy) => {
      const { originBytesRatio } = run(drawn, policy);
      if (drawn.kill === 0 && drawn.slow === 0) assert.equal(Math.round(originBytesRatio * 1e6) / 1e6, 1);
    }),
    { numRuns: 60 },
  );
});

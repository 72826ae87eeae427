import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Efficiencies, type Efficiency, efficienciesOf, MEASURED } from './efficiency.ts';
import { digits, type PlanInputs, planOf } from './plan.ts';

const exactly = (value: number): Efficiency => ({ value, low: value, high: value, source: 'said' });

const FLOORS: Efficiencies = {
  stallRatio: exactly(1),
  safeFloorRatio: exactly(1),
  durableRatio: exactly(1),
  restoreFloorRatio: exactly(1),
  efficiency: exactly(1),
};

/** MLPerf's 405B on 64 nodes at 25 Gbit/s of ingress: FIELD's worked case. */
const CASE: PlanInputs = {
  nodes: 64,
  gpusPerNode: 8,
  linkBytesPerS: 12.5e9,
  ingressBytesPerS: 3.125e9,
  egressBytesPerS: 25e9,
  checkpointBytes: 5.29e12,
  unevenness: 1,
  intervalS: 3600,
  diskBytesPerS: 5e9,
  replicas: 2,
  modelBytes: 750e9,
  nodeMtbfS: 64 * 30 * 86_400,
  restartS: 300,
};

function rowsOf(inputs: Partial<PlanInputs>, efficiencies: Efficiencies = FLOORS) {
  const plan = planOf({ ...CASE, ...inputs }, efficiencies);
  const near = (name: string, asyncCopy: number, forebay: number) => {
    const row = plan.rows.find((each) => each.name === name);
    assert.ok(row, name);
    const isNear = (is: number, wanted: number) => Math.abs(is - wanted) <= 0.001 * Math.max(Math.abs(wanted), 0.01);
    assert.ok(isNear(row.asyncCopy.value, asyncCopy), `${name}: async copy ${row.asyncCopy.value}, not ${asyncCopy}`);
    assert.ok(isNear(row.forebay.value, forebay), `${name}: Forebay ${row.forebay.value}, not ${forebay}`);
  };
  return { plan, near };
}

test('the worked case comes out as computed by hand', () => {
  const { near, plan } = rowsOf({});
  // 82.656 GB a node ÷ 5 GB/s; the copy 5,290 ÷ 3.125 GB/s = 28 minutes; two shares on a disk 33 s, longer than one over the link, 6.6 s.
  near('stall', 16.531, 16.531);
  near('exposed', 1692.8, 16.531);
  near('safe', 1709.33, 33.0625);
  near('durable', 1709.33, 33.0625 + 1692.8);
  near('restore', 6.6125, 6.6125);
  // 64 × 750 GB ÷ 25 GB/s; once over a link 60 s, from the origin 30 s, all links and the origin 48,000 ÷ 825 = 58.2 s.
  near('broadcast', 1920, 60);
  near('originBytes', 48_000, 750);
  // 512 × (1,800 + safe + restore + 300) ÷ 3,600.
  near('perFailure', 542.782, 304.309);
  assert.equal(plan.failuresPerMonth.value, 1);
  near('failuresMonth', 542.782, 304.309);
  // 720 checkpoints × 16.53125 s × 512 ÷ 3,600.
  near('stallsMonth', 1692.8, 1692.8);
  near('month', 2235.58, 1997.11);
});

test('measured efficiencies stretch Forebay’s floors and nothing of the async copy', () => {
  const { near, plan } = rowsOf(
    {},
    {
      stallRatio: exactly(0.5),
      safeFloorRatio: exactly(2),
      durableRatio: exactly(1.1),
      restoreFloorRatio: exactly(1.5),
      efficiency: exactly(0.8),
    },
  );
  near('stall', 16.531, 16.531);
  near('safe', 1709.33, 66.125);
  near('durable', 1709.33, 66.125 + 1862.08);
  near('restore', 6.6125, 9.91875);
  near('broadcast', 1920, 75);
  assert.match(plan.notes.join('\n'), /stallRatio of 0\.5 counts as 1/);
});

test('a largest share slows the async copy’s upload; Forebay drains it from all nodes', () => {
  const { near } = rowsOf({ unevenness: 16, ingressBytesPerS: 1e12 });
  // 1,322.5 GB on one node: 105.8 s over its link; the mean share 6.6 s.
  near('durable', 264.5 + 105.8, 529 + 6.6125);
  near('stall', 264.5, 264.5);
});

test('a slow link bounds what is safe, and a narrow origin what is restored without peers', () => {
  const { near } = rowsOf({ linkBytesPerS: 1e9, egressBytesPerS: 0.5e9, replicas: 3 });
  // Two copies of 82.656 GB leave over 1 GB/s.
  near('safe', 1709.33, 165.3125);
  near('restore', 165.3125, 82.656);
});

test('a copy that takes longer than the interval is told, and costs the checkpoints that it misses', () => {
  const { near, plan } = rowsOf({ intervalS: 1000 });
  assert.match(plan.notes.join('\n'), /async copy takes 1,693 s, longer than the 1,000 s .*one checkpoint in 2/);
  assert.match(plan.notes.join('\n'), /drain takes 1,693 s/);
  // T is 2,000 s there, 1,000 s here.
  near('perFailure', (512 * (1000 + 1709.33 + 6.6125 + 300)) / 3600, (512 * (500 + 33.0625 + 6.6125 + 300)) / 3600);
});

test('ranges span what was measured, the better end first', () => {
  const row = (name: string) => planOf(CASE, MEASURED).rows.find((each) => each.name === name)?.forebay;
  for (const name of ['stall', 'safe', 'durable', 'restore', 'broadcast', 'month']) {
    const { best = 0, value = 0, worst = 0 } = row(name) ?? {};
    assert.ok(best <= value && value <= worst && best < worst, name);
  }
});

test('every formula ends in its value', () => {
  for (const { name, asyncCopy, forebay } of planOf(CASE, MEASURED).rows)
    for (const { formula, value } of [asyncCopy, forebay])
      assert.equal(/([\d.,]+)(?: s| GB)?$/.exec(formula)?.[1], digits(value), `${name}: ${formula}`);
});

test('a result gives what it has measured, and one without any of it is refused', () => {
  const figure = { median: 1.1, low: 1, high: 1.2, unit: '', verdict: 'inconclusive' };
  const environment = { date: '2026-11-22T10:00:00Z', commit: 'abc' };
  const result = {
    scenario: 'fan-out-write',
    environment,
    figures: { safeFloorRatio: figure, efficiency: { median: 'x' } },
  };
  assert.deepEqual(efficienciesOf(result, 'r.json'), {
    safeFloorRatio: { value: 1.1, low: 1, high: 1.2, source: 'r.json (fan-out-write, 2026-11-22, abc; inconclusive)' },
  });
  for (const wrong of [null, [], {}, { figures: {} }, { figures: { efficiency: { median: 0, low: 0, high: 0 } } }])
    assert.throws(() => efficienciesOf(wrong, 'r.json'), /r\.json has none of the figures/);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { costsOf } from './costs.ts';
import { recommend } from './recommendation.ts';
import type { EvaluatedScenario, Measure, Results } from './results.ts';
import { buildResults, USUAL } from './results-builder.ts';
import { flipValues, sensitivityBetween, sensitivityOf } from './sensitivity.ts';
import { standingsOf } from './standing.ts';

function scoresOf(results: Results): { a: number; b: number } {
  const standings = standingsOf(results);
  const score = (name: string) => standings.find(({ candidate }) => candidate === name)?.score as number;
  return { a: score('a'), b: score('b') };
}

const scaled = (results: Results, id: string, factor: number): Results => ({
  ...results,
  figures: results.figures.map((figure) => (figure.id === id ? { ...figure, median: figure.median * factor } : figure)),
});

const reweighted = (results: Results, at: { scenario: string; measure: Measure }, weight: number): Results => ({
  ...results,
  scenarios: results.scenarios.map((scenario) =>
    scenario.name === at.scenario ? { ...scenario, weights: { ...scenario.weights, [at.measure]: weight } } : scenario,
  ),
});

const seconds = fc.array(fc.double({ min: 0.05, max: 50, noNaN: true }), { minLength: 4, maxLength: 4 });
const weight = fc.oneof(fc.constant(0), fc.double({ min: 0.1, max: 5, noNaN: true }));

test('at each flip point the order of the scores really changes: not before, but after', () => {
  let flips = 0;
  fc.assert(
    fc.property(
      fc.array(seconds, { minLength: 6, maxLength: 6 }),
      fc.array(weight, { minLength: 7, maxLength: 7 }),
      (s, w) => {
        const scenarios: EvaluatedScenario[] = [
          { name: 'fan-out-read', sizeBytes: 1, weights: { makespanS: w[0] ?? 0 } },
          {
            name: 'fan-out-write',
            sizeBytes: 1,
            weights: { blockedS: w[1] ?? 0, safeS: w[2] ?? 0, durableS: w[3] ?? 0, restoreS: w[4] ?? 0 },
          },
          { name: 'fan-in-read', sizeBytes: 1, weights: { gatherS: w[5] ?? 0, putS: w[6] ?? 0 } },
        ];
        const cell = (i: number) => ({ seconds: s[i] ?? [] });
        const candidates = [0, 3].map((i) => ({
          name: i === 0 ? 'a' : 'b',
          kind: 'exec' as const,
          'fan-out-read': cell(i),
          'fan-out-write': cell(i + 1),
          'fan-in-read': cell(i + 2),
        }));
        const results = buildResults({ candidates, scenarios, rounds: 1 });
        const { a, b } = scoresOf(results);
        if (a === undefined || Math.abs(Math.log(a / b)) < 1e-3) return;
        const [ours, other] = a > b ? ['a', 'b'] : ['b', 'a'];
        const leads = (changed: Results) => {
          const scores = scoresOf(changed);
          return ours === 'a' ? scores.a > scores.b : scores.b > scores.a;
        };
        for (const one of sensitivityBetween(results, ours as string, other as string)) {
          if (one.worseBy !== 'never' && one.worseBy < 1e100) {
            flips++;
            assert.ok(leads(scaled(results, one.figures[0], one.worseBy * 0.999)));
            assert.ok(!leads(scaled(results, one.figures[0], one.worseBy * 1.001)));
          }
          if (one.betterBy !== 'never' && one.betterBy < 1e100) {
            assert.ok(leads(scaled(results, one.figures[1], 1.001 / one.betterBy)));
          }
          if (one.weightTo === 'never') {
            for (const to of [0, 1e6]) assert.ok(leads(reweighted(results, one, to)) || isLastWeight(results, one, to));
          } else if (one.weightTo > 1e-6 && one.weightTo < 1e6) {
            flips++;
            const beyond = one.weightTo > one.weight ? 1.01 : 0.99;
            assert.ok(leads(reweighted(results, one, one.weightTo / beyond)));
            assert.ok(!leads(reweighted(results, one, one.weightTo * beyond)));
          }
        }
      },
    ),
    { numRuns: 60 },
  );
  assert.ok(flips > 100, `${flips} flips were looked at`);
});

/** With the last weight gone nobody has a score: nothing leads, and nothing has flipped. */
function isLastWeight(results: Results, at: { scenario: string; measure: Measure }, to: number): boolean {
  const others = results.scenarios.flatMap(({ name, weights }) =>
    Object.entries(weights).filter(([measure, w]) => w > 0 && !(name === at.scenario && measure === at.measure)),
  );
  return to === 0 && others.length === 0;
}

test('the table is of the recommended one against each other eligible one', () => {
  const results = buildResults();
  const rows = sensitivityOf(results, recommend(results));
  assert.deepEqual(
    [...new Set(rows.map(({ ours, other }) => `${ours} ${other}`))],
    ['forebay origin', 'forebay rclone mount'],
  );
  const makespan = rows.find(({ measure, other }) => measure === 'makespanS' && other === 'origin');
  assert.ok(makespan && typeof makespan.worseBy === 'number' && makespan.worseBy > 2);
  assert.equal(rows.find(({ measure }) => measure === 'putS')?.worseBy, 'never');
});

test('a candidate that nobody could run would have to be below the recommended one, the more so the less a measure weighs', () => {
  const results = buildResults();
  const values = flipValues(results, 'forebay');
  const median = (id: string) => results.figures.find((figure) => figure.id === id)?.median as number;
  assert.equal(values.length, 6);
  for (const { belowS, figure } of values) assert.ok(belowS < median(figure) && belowS > median(figure) * 0.6);
});

test('costs stand beside gains: copies, bytes and requests at the origin, processor', () => {
  const costs = costsOf(buildResults());
  assert.deepEqual(
    costs.map(({ candidate }) => candidate),
    USUAL.slice(0, 5).map(({ name }) => name),
  );
  assert.equal(costs[0]?.copies, 2);
  const read = costs[1]?.scenarios.find(({ scenario }) => scenario === 'fan-out-read');
  assert.deepEqual(read?.originBytesRatio, { median: 8, figure: 'fan-out-read/origin/originBytesRatio' });
  assert.equal(read?.originRequests, 512);
  assert.equal(read?.cpuBusy, 0.4);
});

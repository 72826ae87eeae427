import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { claimText, recommend } from './recommendation.ts';
import { judgeRequirements, parseRequirements } from './requirements.ts';
import type { Results } from './results.ts';
import { type BuiltCandidate, buildResults, USUAL } from './results-builder.ts';

const usual = (name: string) => USUAL.find((candidate) => candidate.name === name) as BuiltCandidate;

/** The same candidate under another name, with all its seconds times `factor`. */
function copied(name: string, as: string, more: Partial<BuiltCandidate> = {}, factor = 1): BuiltCandidate {
  const slower = (cell: BuiltCandidate['fan-out-read']) =>
    cell && { ...cell, seconds: (cell.seconds ?? []).map((seconds) => seconds * factor) };
  const { 'fan-out-read': read, 'fan-out-write': write, 'fan-in-read': gather, ...entry } = usual(name);
  return {
    ...entry,
    name: as,
    'fan-out-read': slower(read) ?? {},
    'fan-out-write': slower(write) ?? {},
    'fan-in-read': slower(gather) ?? {},
    ...more,
  };
}

function figuresExist(results: Results, recommendation: ReturnType<typeof recommend>): void {
  const ids = new Set(results.figures.map(({ id }) => id));
  for (const { parts, restsOn } of recommendation.claims) {
    for (const part of parts) if (typeof part !== 'string') assert.ok(ids.has(part.figure), part.figure);
    for (const id of restsOn) assert.ok(ids.has(id), id);
  }
}

test('one that is measured everywhere and ahead of the others is recommended, with claims whose figures are in the results', () => {
  const results = buildResults();
  const found = recommend(results);
  assert.equal(found.outcome, 'recommended');
  assert.deepEqual(found.choice, ['forebay']);
  assert.deepEqual(
    found.comparisons.map(({ other, verdict }) => [other, verdict]),
    [
      ['origin', 'ahead'],
      ['rclone mount', 'ahead'],
    ],
  );
  assert.ok(found.claims.length >= 5);
  figuresExist(results, found);
  for (const claim of found.claims) assert.doesNotMatch(claimText(claim, results), /not measured|undefined|NaN/);
  assert.match(found.answer, /^Take forebay for fan-out-read, fan-out-write, fan-in-read/);
});

test('who was not measured in one scenario is not eligible, and the reason is said with its offset', () => {
  const { standings } = recommend(buildResults());
  const gaps = (name: string) => standings.find(({ candidate }) => candidate === name)?.gaps.join('; ') ?? '';
  assert.match(gaps('redis-server'), /fan-out-write: not applicable: a Redis has no checkpoints/);
  assert.match(gaps('flipper'), /fan-out-read: failed: wrong bytes on node 3 \(first wrong byte at offset 4096\)/);
  assert.match(gaps('flipper'), /fan-in-read: not cold/);
  assert.match(gaps('Alluxio'), /fan-out-read: not run/);
  assert.equal(gaps('forebay'), '');
});

test('the same measurements give the same answer, and other noise the same verdict', () => {
  const first = recommend(buildResults());
  assert.deepEqual(recommend(buildResults()), first);
  for (let seed = 2; seed < 6; seed++) {
    const again = recommend(buildResults({ seed }));
    assert.equal(again.outcome, first.outcome);
    assert.deepEqual(again.choice, first.choice);
  }
});

test('one thing under two names comes out as no difference and is still recommended as one choice', () => {
  for (let seed = 1; seed < 6; seed++) {
    const results = buildResults({
      candidates: [...USUAL, copied('forebay', 'forebay again', { sameAs: 'forebay' })],
      seed,
    });
    const found = recommend(results);
    assert.equal(found.outcome, 'recommended', found.answer);
    assert.deepEqual(found.choice, ['forebay', 'forebay again']);
    assert.deepEqual(
      found.twins.map(({ other, verdict }) => [other, verdict]),
      [['forebay again', 'no difference']],
    );
    assert.ok(found.claims.some((claim) => /no difference, as it must be/.test(claimText(claim, results))));
    figuresExist(results, found);
  }
});

test('two things that are equally good are not told apart', () => {
  const found = recommend(buildResults({ candidates: [...USUAL, copied('forebay', 'rival', { kind: 'posix' })] }));
  assert.equal(found.outcome, 'inconclusive');
  assert.match(found.answer, /do not tell it apart from/);
});

test('a difference that the same thing also has from itself is none', () => {
  const candidates = [
    usual('forebay'),
    copied('forebay', 'forebay again', { sameAs: 'forebay' }, 1.5),
    copied('forebay', 'rival', { kind: 'posix' }, 1.3),
  ];
  const found = recommend(buildResults({ candidates }));
  assert.equal(found.twins[0]?.verdict, 'ahead');
  assert.equal(found.outcome, 'inconclusive');
  assert.match(found.answer, /rival \(the same thing under two names differed by 1\.\d\d×\)/);
});

test('without the best, another is recommended', () => {
  const found = recommend(buildResults({ candidates: USUAL.filter(({ name }) => name !== 'forebay') }));
  assert.deepEqual([found.outcome, found.choice], ['recommended', ['origin']]);
});

test('a slow Forebay loses: nothing prefers it', () => {
  const slow = USUAL.map((candidate) =>
    candidate.name === 'forebay' ? copied('forebay', 'forebay', {}, 25) : candidate,
  );
  const found = recommend(buildResults({ candidates: slow }));
  assert.equal(found.outcome, 'recommended');
  assert.deepEqual(found.choice, ['origin']);
});

test('a must-have that is red takes the front runner out', () => {
  const results = buildResults();
  const judged = judgeRequirements(parseRequirements('r.toml', '[must-have]\nspeaks = ["azure"]\n'), results);
  const found = recommend(results, judged);
  assert.match(
    found.standings.find(({ candidate }) => candidate === 'forebay')?.missed[0] ?? '',
    /^speaks azure: it speaks s3, path, resp/,
  );
  assert.deepEqual(found.choice, ['origin']);
});

test('with nobody eligible the fewest that cover the scenarios are named, and what nobody covers', () => {
  const some = (...names: string[]) => buildResults({ candidates: USUAL.filter(({ name }) => names.includes(name)) });
  const split = some('async-copy', 'redis-server');
  const found = recommend(split);
  assert.equal(found.outcome, 'nobody');
  assert.deepEqual(found.combination, [
    { scenario: 'fan-out-read', candidate: undefined },
    { scenario: 'fan-out-write', candidate: 'async-copy' },
    { scenario: 'fan-in-read', candidate: 'redis-server' },
  ]);
  assert.match(found.answer, /Nobody covers fan-out-read/);
  figuresExist(split, found);
  assert.match(recommend(some('Alluxio')).answer, /none was measured in any scenario/);
});

test("a loser's figures from a busy machine make the verdict inconclusive where it hangs on them, and only there", () => {
  const rival = (isBusy: boolean) =>
    copied('forebay', 'rival', { kind: 'posix', 'fan-out-read': { seconds: [9], originBytesRatio: 1, isBusy } });
  const outcome = (candidate: BuiltCandidate) =>
    recommend(buildResults({ candidates: [usual('forebay'), candidate] })).outcome;
  assert.equal(outcome(rival(false)), 'recommended');
  assert.equal(outcome(rival(true)), 'inconclusive');
  const worseEverywhere = copied('forebay', 'rival', { kind: 'posix' }, 2);
  assert.equal(
    outcome({ ...worseEverywhere, 'fan-out-read': { ...worseEverywhere['fan-out-read'], isBusy: true } }),
    'recommended',
  );
});

test("the winner's own busy figures do not speak against it", () => {
  const { 'fan-out-read': read } = usual('forebay');
  const candidates = USUAL.map((one) =>
    one.name === 'forebay' ? { ...one, 'fan-out-read': { ...read, isBusy: true } } : one,
  );
  assert.equal(recommend(buildResults({ candidates })).outcome, 'recommended');
});

test('two rounds are not evidence', () => {
  const found = recommend(buildResults({ rounds: 2 }));
  assert.equal(found.outcome, 'inconclusive');
  assert.match(found.answer, /only 2 rounds/);
});

test('one who has nobody beside it needs three rounds all the same, and who failed is named', () => {
  const alone = USUAL.filter(({ name }) => name === 'forebay' || name === 'flipper');
  assert.match(
    recommend(buildResults({ candidates: alone, rounds: 1 })).answer,
    /^Inconclusive: forebay is in front, but fan-out-read has only 1 of its rounds/,
  );
  assert.match(
    recommend(buildResults({ candidates: alone })).answer,
    /^Take forebay: .*Not in it, because they failed: flipper\./,
  );
});

test('a score is the weighted geometric mean of best median ÷ own median', () => {
  const scenarios = [{ name: 'fan-in-read' as const, sizeBytes: 1, weights: { gatherS: 3, putS: 1 } }];
  const results = buildResults({ scenarios, candidates: ['origin', 'redis-server'].map(usual), rounds: 1 });
  const figure = (id: string) => results.figures.find((one) => one.id === id)?.median as number;
  const { standings } = recommend(results);
  const gather = figure('fan-in-read/redis-server/gatherS') / figure('fan-in-read/origin/gatherS');
  const put = figure('fan-in-read/redis-server/putS') / figure('fan-in-read/origin/putS');
  const expected = (Math.min(1, gather) ** 3 * Math.min(1, put)) ** (1 / 4);
  assert.ok(Math.abs((standings.find(({ candidate }) => candidate === 'origin')?.score ?? 0) - expected) < 1e-12);
});

test('any mix of cells ends in an answer with figures that exist', () => {
  const status = fc.constantFrom('measured', 'failed', 'not cold', 'not run', 'not applicable');
  const cell = fc.record({
    status,
    seconds: fc.array(fc.double({ min: 0, max: 100, noNaN: true }), { minLength: 4, maxLength: 4 }),
  });
  const candidate = fc.record({ 'fan-out-read': cell, 'fan-out-write': cell, 'fan-in-read': cell });
  fc.assert(
    fc.property(fc.array(candidate, { maxLength: 5 }), (cells) => {
      const candidates = cells.map((one, i) => ({ ...one, name: `c${i}`, kind: 'exec' as const }) as BuiltCandidate);
      const results = buildResults({ candidates, rounds: 3 });
      const found = recommend(results);
      figuresExist(results, found);
      assert.doesNotMatch(found.answer, /undefined|NaN|Infinity/);
      if (found.outcome === 'recommended') assert.ok(found.comparisons.every(({ verdict }) => verdict === 'ahead'));
    }),
    { numRuns: 8 },
  );
});

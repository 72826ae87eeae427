import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { conclude } from '../conclusion.ts';
import { parseFacts } from '../facts.ts';
import { figureText } from '../figure-text.ts';
import { parseRequirements } from '../requirements.ts';
import type { Results } from '../results.ts';
import { type BuiltCandidate, buildResults, USUAL } from '../results-builder.ts';
import { reportFiles } from './report.ts';

const FACTS = join(import.meta.dirname, '../../../evaluations/facts.toml');
const facts = parseFacts('facts.toml', readFileSync(FACTS, 'utf8'));
const requirements = parseRequirements(
  'requirements.toml',
  '[must-have]\nsurvives-node-loss = 5\norigin-read-once = true\nspeaks = ["s3"]\n[targets.fan-out-read]\nmakespanS = 10\n',
);

const PAGES = ['index.html', 'brief-engineers.html', 'brief-decision.html'] as const;
const full = (results: Results) => reportFiles(conclude(results, { facts, requirements }));
const page = (files: Readonly<Record<string, string>>, name: string) =>
  files[name] ?? assert.fail(`${name} is missing`);
const unescaped = (text: string) =>
  text.replace(
    /&(lt|gt|amp|quot|#39);/g,
    (_, name: string) => ({ lt: '<', gt: '>', amp: '&', quot: '"' })[name] ?? "'",
  );
const attribute = (html: string, pattern: RegExp) =>
  Array.from(html.matchAll(pattern), (match) => unescaped(match[1] ?? ''));

const shapes: readonly (readonly [string, Results])[] = [
  ['one is recommended', buildResults()],
  [
    'one choice has two names',
    buildResults({ candidates: [...USUAL, { ...(USUAL[0] as BuiltCandidate), name: 'twin', sameAs: 'forebay' }] }),
  ],
  [
    'two are not told apart',
    buildResults({ candidates: [...USUAL, { ...(USUAL[0] as BuiltCandidate), name: 'rival' }] }),
  ],
  ['nobody covers all', buildResults({ candidates: USUAL.slice(2) })],
  ['nothing was run', buildResults({ candidates: USUAL.slice(-1) })],
  ['there are no candidates', buildResults({ candidates: [] })],
  [
    'the machine was busy',
    buildResults({
      candidates: USUAL.map((one) => ({ ...one, 'fan-out-read': { ...one['fan-out-read'], isBusy: true } })),
    }),
  ],
];

for (const [shape, results] of shapes)
  test(`every figure that is spoken of is in the results, and its link leads to its cell: ${shape}`, () => {
    for (const files of [full(results), reportFiles(conclude(results))]) {
      const ids = new Set(results.figures.map(({ id }) => id));
      const anchors = new Set(attribute(page(files, 'index.html'), / id="([^"]*)"/g));
      for (const name of PAGES) {
        const html = page(files, name);
        for (const id of attribute(html, /data-figure="([^"]*)"/g)) assert.ok(ids.has(id), `${name}: ${id}`);
        for (const href of attribute(html, /href="(?:index\.html)?#([^"]*)"/g))
          assert.ok(anchors.has(href), `${name}: ${href}`);
        assert.doesNotMatch(html.replace(/<style>[\s\S]*?<\/style>/, ''), /undefined|NaN|Infinity|\[object/, name);
      }
      assert.doesNotMatch(page(files, 'report.md'), /undefined|NaN|Infinity|\[object/);
      assert.deepEqual(JSON.parse(page(files, 'results.json')), JSON.parse(JSON.stringify(results)));
    }
  });

test('every figure of the results stands in the details as it was measured', () => {
  const results = buildResults();
  const files = full(results);
  const html = page(files, 'index.html');
  assert.equal(attribute(html, / id="(figure-[^"]*)"/g).length, results.figures.length);
  for (const figure of results.figures) {
    assert.ok(html.includes(`>${figureText(figure)} <span`), figure.id);
    assert.ok(page(files, 'report.md').includes(`\`${figure.id}\` | ${figureText(figure)}`), figure.id);
  }
});

test('what was not measured is said with its reason, and drawn nowhere', () => {
  const html = page(full(buildResults()), 'index.html');
  assert.match(html, /wrong bytes on node 3 \(first wrong byte at offset 4096\)/);
  assert.match(html, /fan-in-read: not cold: it served 64 MiB of which the origin saw nothing/);
  const plots = Array.from(html.matchAll(/<svg[\s\S]*?<\/svg>/g), ([svg]) => svg);
  assert.equal(plots.length, 3);
  for (const svg of plots) assert.doesNotMatch(svg, /flipper|Alluxio|BlobFuse|JuiceFS/);
});

test('names and reasons are text: nothing of them becomes markup', () => {
  const evil = `<script>alert("1")</script>|*x*' onload='&amp;`;
  const candidates: BuiltCandidate[] = [
    { ...(USUAL[0] as BuiltCandidate), name: evil },
    {
      name: `b\n# ${evil}`,
      kind: 'exec',
      about: evil,
      'fan-out-read': { status: 'failed', reason: evil },
      'fan-out-write': { seconds: [1, 1, 1, 1] },
      'fan-in-read': { status: 'not run', reason: evil },
    },
  ];
  const built = buildResults({ candidates });
  const results: Results = { ...built, question: evil, name: evil, command: evil, shaping: evil };
  const files = full(results);
  for (const name of PAGES) {
    const html = page(files, name);
    assert.doesNotMatch(html.replace(/="[^"]*"/g, ''), /<script|<[^>]*\sonload=/i, name);
    assert.ok(html.includes('&lt;script&gt;'), name);
    for (const id of attribute(html, /data-figure="([^"]*)"/g))
      assert.ok(
        results.figures.some((figure) => figure.id === id),
        id,
      );
    for (const id of attribute(html, / id="([^"]*)"/g)) assert.doesNotMatch(id, /[\s<>"']/);
  }
  const markdown = page(files, 'report.md').replace(/```[\s\S]*?```|`[^`\n]*`/g, '');
  assert.doesNotMatch(markdown, /(^|[^\\])<script|^# <script|^b$/m);
});

test('a page is one file: no script, no picture, no style and no font from elsewhere', () => {
  for (const name of PAGES) {
    const html = page(full(buildResults()), name);
    assert.doesNotMatch(html, /<script|<img|<iframe|@import|url\(|src=/, name);
    assert.deepEqual(attribute(html, /<link[^>]*href="([^"]*)"/g), ['data:,']);
  }
});

test('the answer, readiness, sensitivity and questions to owners are said in all that is left', () => {
  const files = full(buildResults());
  const answer = 'Take forebay for fan-out-read';
  for (const name of [...PAGES, 'report.md']) {
    const text = page(files, name).replaceAll('\\', '');
    assert.ok(text.includes(answer) || text.includes('Take forebay: it is the only one'), name);
    assert.match(text, /[Rr]eady to engage: (yes|no)/, name);
  }
  assert.match(page(files, 'brief-decision.html'), /TensorCache<\/strong>: Which of the three scenarios/);
  const free = reportFiles(conclude(buildResults(), { facts }));
  assert.match(page(free, 'index.html'), /Flips when worse by/);
  assert.match(
    page(free, 'index.html'),
    /A candidate that is like forebay in everything else would be recommended in its place/,
  );
  assert.ok(page(free, 'index.html').includes(answer));
});

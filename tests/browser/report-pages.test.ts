import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { conclude } from '../../bench/evaluate/conclusion.ts';
import { parseFacts } from '../../bench/evaluate/facts.ts';
import { reportFiles } from '../../bench/evaluate/report/report.ts';
import { parseRequirements } from '../../bench/evaluate/requirements.ts';
import { type BuiltCandidate, buildResults, USUAL } from '../../bench/evaluate/results-builder.ts';
import { requireTool } from '../tools.ts';
import { Browser } from './browser.ts';

const FACTS = join(import.meta.dirname, '../../evaluations/facts.toml');
const REQUIREMENTS = `
[must-have]
survives-node-loss = 30
speaks = ["s3", "path"]
[targets.fan-out-read]
makespanS = 10
[targets.fan-out-write]
blockedS = 3
[scale]
nodes = 64
`;

/** As many candidates as the largest evaluation that comes with Forebay has that can run, and what it says of others. */
function reportOf(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-report-pages-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const mount = USUAL.find(({ name }) => name === 'rclone mount') as BuiltCandidate;
  const mounts = ['s3fs', 'nginx cache', 'BlobFuse2'].map((name) => ({ ...mount, name, about: `${name} as it comes` }));
  const twin: BuiltCandidate = { ...(USUAL[0] as BuiltCandidate), name: 'forebay again', sameAs: 'forebay' };
  const conclusion = conclude(buildResults({ candidates: [...USUAL, ...mounts, twin], rounds: 3 }), {
    facts: parseFacts('facts.toml', readFileSync(FACTS, 'utf8')),
    requirements: parseRequirements('requirements.toml', REQUIREMENTS),
  });
  for (const [name, content] of Object.entries(reportFiles(conclusion))) writeFileSync(join(directory, name), content);
  return pathToFileURL(directory).href;
}

/** File → pages of paper at most. */
const PAGES = { 'index.html': 6, 'brief-engineers.html': 2, 'brief-decision.html': 2 } as const;

test('the pages of an evaluation are accessible in both themes, fit a phone and the paper, complain of nothing and ask the network for nothing', async (t) => {
  const chromium = requireTool(t, 'chromium');
  if (chromium === undefined) return;
  const base = reportOf(t);
  await using browser = await Browser.start(chromium);
  for (const [theme, width] of [
    ['light', 1280],
    ['dark', 390],
  ] as const) {
    await using page = await browser.open({ theme, width });
    for (const [name, most] of Object.entries(PAGES)) {
      await page.go(`${base}/${name}`);
      assert.deepEqual(await page.accessibility(), [], `${name}, ${theme}`);
      assert.equal(
        await page.evaluate('document.documentElement.scrollWidth > innerWidth'),
        false,
        `${name} is too wide`,
      );
      assert.deepEqual([...page.complaints, ...page.network], [], name);
      if (theme === 'light') assert.ok((await page.printedPages()) <= most, `${name} takes more than ${most} pages`);
    }
  }
});

test('a figure in a brief leads to its cell in the full report', async (t) => {
  const chromium = requireTool(t, 'chromium');
  if (chromium === undefined) return;
  const base = reportOf(t);
  await using browser = await Browser.start(chromium);
  await using page = await browser.open();
  await page.go(`${base}/brief-engineers.html`);
  const [href, text] = await page.evaluate<[string, string]>(
    '(() => { const a = document.querySelector("a[data-figure]"); return [a.href, a.textContent]; })()',
  );
  await page.go(href);
  const found = await page.evaluate<string>('document.querySelector(":target")?.textContent ?? "nothing"');
  assert.ok(found.startsWith(text.replace(/ s$/, '')), `${text} leads to ${found}`);
});

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { readRoom } from '../../room/room.ts';
import { writeSite } from '../../room/site.ts';
import { requireTool } from '../tools.ts';
import { Browser } from './browser.ts';
import { makeExampleRoom } from './example-room.ts';

const PAGES = [
  'index.html',
  'notes.html',
  'decisions.html',
  'tasks.html',
  'runs.html',
  'tags.html',
  'missing.html',
  'problems.html',
  'notes/README.html',
  'notes/broken.html',
  'notes/decisions/One%20cache.html',
  'notes/odd%20%231%20100%25%20%3F%26%22%27.html',
];

/** The address of the example's pages. */
function example(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-room-pages-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const notes = join(directory, 'notes');
  makeExampleRoom(notes, join(directory, 'elsewhere'));
  const options = { name: 'Example', directory: notes, runs: undefined, leaveOut: [] };
  const quiet = () => undefined;
  writeSite(readRoom(options, quiet), join(directory, 'out'), quiet);
  return pathToFileURL(join(directory, 'out')).href;
}

test('the pages of a room are accessible in both themes, fit a phone, complain of nothing and ask the network for nothing', async (t) => {
  const chromium = requireTool(t, 'chromium');
  if (chromium === undefined) return;
  const base = example(t);
  await using browser = await Browser.start(chromium);
  for (const [theme, width] of [
    ['light', 1280],
    ['dark', 390],
  ] as const) {
    await using page = await browser.open({ theme, width });
    for (const path of PAGES) {
      await page.go(`${base}/${path}`);
      assert.deepEqual(await page.accessibility(), [], `${path}, ${theme}`);
      assert.equal(
        await page.evaluate('document.documentElement.scrollWidth > innerWidth'),
        false,
        `${path} is too wide`,
      );
      assert.deepEqual([...page.complaints, ...page.network], [], path);
      if (theme === 'dark') assert.ok((await page.printedPages()) <= 2, `${path} prints on more than two pages`);
    }
  }
});

test('search finds words, titles and tags without a server', async (t) => {
  const chromium = requireTool(t, 'chromium');
  if (chromium === undefined) return;
  const base = example(t);
  await using browser = await Browser.start(chromium);
  await using page = await browser.open();
  await page.go(`${base}/notes/plans/Plan%20%C3%BC.html`);
  const search = (words: string) =>
    page.evaluate<string[]>(`new Promise((resolve, reject) => {
      const told = document.getElementById('room:told');
      new MutationObserver((_, observer) => {
        observer.disconnect();
        queueMicrotask(() => resolve([told.textContent, ...Array.from(document.querySelectorAll('search li a'), (a) => a.href)]));
      }).observe(told, { childList: true, characterData: true, subtree: true });
      const input = document.getElementById('room:words');
      input.value = ${JSON.stringify(words)};
      input.dispatchEvent(new Event('input'));
    })`);
  assert.deepEqual(await search('COST twice'), ['1 note', `${base}/notes/decisions/One%20cache.html`]);
  assert.deepEqual(await search('#evaluation'), ['1 note', `${base}/notes/README.html`]);
  assert.deepEqual(await search('no such word'), ['0 notes']);
  const [link] = (await search('odd name')).slice(1);
  await page.go(link as string);
  assert.equal(await page.evaluate('document.querySelector("h1").textContent'), 'Odd name');
  assert.deepEqual([...page.complaints, ...page.network], []);
});

test('what watches the pages sees what is wrong: a picture without words, an error, a request', async (t) => {
  const chromium = requireTool(t, 'chromium');
  if (chromium === undefined) return;
  await using browser = await Browser.start(chromium);
  await using page = await browser.open();
  await page.go('data:text/html,<img src="data:,"><p style="color:%23ccc">pale</p>');
  const rules = (await page.accessibility()).map(({ rule }) => rule);
  for (const rule of ['image-alt', 'color-contrast', 'html-has-lang']) assert.ok(rules.includes(rule), rule);
  await page.evaluate('console.error("wrong"); fetch("http://127.0.0.1:1/x").catch(() => 0)');
  assert.ok(page.complaints.some((text) => text.includes('wrong')));
  assert.deepEqual(page.network, ['http://127.0.0.1:1/x']);
});

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { makeExampleRoom, resultOf } from '../tests/browser/example-room.ts';

const FOREBAY = join(import.meta.dirname, '..', 'src', 'main.ts');

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function room(...argv: string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['--no-warnings', FOREBAY, 'room', ...argv], (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });
}

function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-room-test-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function write(directory: string, files: Readonly<Record<string, string>>): string {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), content);
  }
  return directory;
}

/** The example, as pages. */
async function example(t: TestContext) {
  const directory = scratch(t);
  const [notes, out] = [join(directory, 'notes'), join(directory, 'out')];
  makeExampleRoom(notes, join(directory, 'elsewhere'));
  const ran = await room(notes, '--out', out, '--json');
  assert.equal(ran.code, 0, ran.stderr);
  return { directory, notes, out, ran, page: (path: string) => readFileSync(join(out, path), 'utf8') };
}

/** Its HTML files; a folder may be called like one. */
const htmlIn = (out: string) =>
  globSync('**/*.html', { cwd: out }).filter((path) => statSync(join(out, path)).isFile());

test('a folder of notes becomes pages with links, backlinks, tasks, decisions, runs and what is missing', async (t) => {
  const { out, ran, page } = await example(t);
  assert.deepEqual(JSON.parse(ran.stdout), {
    out,
    notes: 13,
    decisions: 1,
    openTasks: 2,
    runs: 3,
    missing: 4,
    problems: 8,
  });
  const note = page('notes/README.html');
  assert.match(note, /<h1 id="the-question">The question<\/h1>/);
  assert.match(note, /<a href="\.\.\/notes\/decisions\/One%20cache\.html" title="One cache">the decision<\/a>/);
  assert.match(note, /href="\.\.\/notes\/decisions\/One%20cache\.html#why-not-two"/);
  assert.match(note, /href="\.\.\/notes\/plans\/Plan%20%C3%BC\.html#steps">the plan/);
  assert.match(note, /<span class="missing"[^>]*>still unwritten</);
  assert.match(note, />decided<\/a><\/td>/);
  assert.match(note, /<img src="\.\.\/files\/pictures\/diagram\.png" alt="diagram\.png"/);
  assert.match(note, /Linked from<\/h2><ul>.*One cache.*Odd name/s);
  const queries = note.slice(note.indexOf('class="query"'));
  assert.match(queries, /measure the writes[\s\S]*and tell <em>everyone<\/em>[\s\S]*2 tasks/);
  assert.match(queries, /1 line that is not understood: <code>frobnicate the list<\/code>[\s\S]*Understood: done/);
  assert.match(page('decisions.html'), /2026-11-22<\/td><td><a[^>]*>One cache<\/a><\/td><td>accepted/);
  assert.match(page('missing.html'), /Silk<\/span>.*The question.*One cache/);
  assert.match(page('runs.html'), /efficiency over 3 runs, newest 0\.955/);
  assert.match(page('tags.html'), /id="evaluation"/);
  assert.match(page('tasks.html'), /Open<\/h2><p class="quiet">2 tasks[\s\S]*Done<\/h2><p class="quiet">1 task</);
});

test('HTML in notes is text, links of odd schemes lead nowhere, and nothing is fetched from elsewhere', async (t) => {
  const { page } = await example(t);
  const note = page('notes/README.html');
  assert.doesNotMatch(note, /<script>|<b>|href="javascript|src="http/i);
  assert.match(note, /&lt;script&gt;alert\('x'\)/);
  assert.match(note, /<a href="https:\/\/example\.com\/x\.png" rel="noreferrer">remote<\/a>/);
});

test('broken front matter is told on the page, whose text is shown', async (t) => {
  const { page } = await example(t);
  assert.match(page('notes/broken.html'), /class="error".*front matter, line \d.*The text is shown\./s);
  assert.match(page('problems.html'), /broken\.md/);
});

test('nothing outside of the folder gets into the room, by no link', async (t) => {
  const { out, page } = await example(t);
  const all = globSync('**/*', { cwd: out });
  assert.equal(
    all.find((path) => /secret|passwd|itself|linked|outside\.txt/.test(path)),
    undefined,
  );
  assert.doesNotMatch(htmlIn(out).map(page).join(''), /<h1[^>]*>Secret/);
  assert.match(page('problems.html'), /<code>link\.md<\/code> is a link out of the folder/);
});

test('every link within the room leads to a page and an anchor that are there', async (t) => {
  const { out, page } = await example(t);
  let links = 0;
  for (const path of htmlIn(out)) {
    for (const [, href = ''] of page(path).matchAll(/(?:href|src)="([^"]*)"/g)) {
      if (/^(https?:|data:)/.test(href)) continue;
      const [place = '', anchor = ''] = href.replaceAll('&amp;', '&').split('#');
      const to = place === '' ? path : join(dirname(path), decodeURIComponent(place));
      assert.ok(existsSync(join(out, to)), `${path}: ${href}`);
      if (anchor !== '') assert.ok(page(to).includes(`id="${decodeURIComponent(anchor)}"`), `${path}: ${href}`);
      links++;
    }
  }
  assert.ok(links > 300, String(links));
});

test('a room is replaced as a whole, and what is not a room is left alone', async (t) => {
  const { directory, notes, out } = await example(t);
  rmSync(join(notes, 'Circle A.md'));
  assert.equal((await room(notes, '--out', out)).code, 0);
  assert.equal(existsSync(join(out, 'notes', 'Circle A.html')), false);
  const other = write(join(directory, 'other'), { 'thesis.txt': 'years of work' });
  const wrong: [string[], RegExp][] = [
    [[notes, '--out', other], /holds something that is not a room/],
    [[notes, '--out', notes], /which it would replace/],
    [[notes, '--out', directory], /which it would replace/],
    [[notes, '--out', join(other, 'thesis.txt')], /is not a directory/],
    [[], /name one folder of notes/],
    [[join(directory, 'nowhere')], /there is no such directory/],
    [[notes, '--runs', join(directory, 'nowhere')], /--runs .*there is no such directory/],
    [[notes, '--outt', out], /--outt/],
  ];
  const answers = await Promise.all(wrong.map(([argv]) => room(...argv)));
  for (const [i, { code, stderr }] of answers.entries()) {
    assert.equal(code, 2, stderr);
    assert.match(stderr, wrong[i]?.[1] as RegExp);
  }
  assert.deepEqual(readdirSync(directory).sort(), ['elsewhere', 'notes', 'other', 'out']);
  assert.deepEqual(readdirSync(other), ['thesis.txt']);
});

test('an output within the notes is not read as notes, and the same notes give the same pages', async (t) => {
  const notes = write(scratch(t), { 'a.md': '[[b]]', 'b.md': '[[a]]' });
  const out = join(notes, 'site');
  const bytes = () =>
    globSync('**/*.*', { cwd: out })
      .sort()
      .map((path) => [path, readFileSync(join(out, path), 'utf8')]);
  assert.equal((await room(notes, '--out', out)).code, 0);
  const first = bytes();
  assert.match((await room(notes, '--out', out)).stdout, /2 notes/);
  assert.deepEqual(bytes(), first);
});

test('results of other machines or parameters stand apart, and one run in two files counts once', async (t) => {
  const runs = scratch(t);
  const first = resultOf('2026-11-20T10:00:00Z', 0.91) as { environment: object; parameters: object };
  const elsewhere = { ...first, environment: { ...first.environment, cores: 96 } };
  const wider = { ...first, parameters: { nodes: 16 } };
  write(runs, {
    'one.json': JSON.stringify(first),
    'history.ndjson': `${[first, resultOf('2026-11-21T10:00:00Z', 0.92), elsewhere, wider].map((each) => JSON.stringify(each)).join('\n')}\n`,
    'undated.json': JSON.stringify({ ...first, environment: {} }),
    'wrong.json': JSON.stringify({ ...first, figures: { speed: { median: 'fast' } } }),
    'package.json': '{"name": "no result"}',
  });
  const [notes, out] = [write(scratch(t), { 'a.md': 'text' }), join(scratch(t), 'out')];
  const { stdout, code } = await room(notes, '--runs', runs, '--out', out, '--json');
  assert.equal(code, 0);
  assert.deepEqual(
    { ...JSON.parse(stdout), out: '' },
    {
      out: '',
      notes: 1,
      decisions: 0,
      openTasks: 0,
      runs: 4,
      missing: 0,
      problems: 2,
    },
  );
  const page = readFileSync(join(out, 'runs.html'), 'utf8');
  assert.equal(page.match(/<section class="run">/g)?.length, 3);
  assert.match(page, /efficiency over 2 runs/);
  assert.match(page, /A second run will show/);
});

test('notes that are made to be hard to read do not keep the room from being made', async (t) => {
  const notes = write(scratch(t), {
    'brackets.md': `${'[['.repeat(20_000)}\n\n${'![['.repeat(20_000)}`,
    'equal.md': '## Same\n\n'.repeat(20_000),
    'blank.md': `${'\n'.repeat(200_000)}- status`,
    'hashes.md': '#1 '.repeat(50_000),
    'deep.md': `${'> '.repeat(5000)}deep\n\n${'*'.repeat(20_000)}`,
    'nul.md': 'a\0b \u202e <\u2028>',
    'decisions/odd.md': `${'- \n'.repeat(50_000)}**Status:** open`,
    'empty.md': '',
    'huge.md': 'x'.repeat(4 * 2 ** 20 + 1),
  });
  const out = join(scratch(t), 'out');
  const { stdout, stderr } = await room(notes, '--out', out, '--json');
  assert.equal((JSON.parse(stdout) as { notes: number }).notes, 9, stderr);
  const page = (path: string) => readFileSync(join(out, path), 'utf8');
  assert.match(page('notes/equal.html'), /id="same-19999"/);
  assert.match(page('notes/huge.html'), /is 5 MiB long; notes are shown up to 4 MiB/);
  assert.match(page('problems.html'), /nul\.md.*is not all UTF-8/);
});

test('two thousand notes that all link to one, in a circle and to nowhere', async (t) => {
  const count = 2000;
  const files = Array.from({ length: count }, (_, i) => [
    `f${i % 40}/n${i}.md`,
    `# N${i}\n\n[[hub]] [[n${(i + 1) % count}]] [[gone ${i}]]\n\n- [ ] t${i}\n`,
  ]);
  const notes = write(
    scratch(t),
    Object.fromEntries([...files, ['hub.md', '# Hub\n\n[[n0]]\n']]) as Record<string, string>,
  );
  const out = join(scratch(t), 'out');
  const { stdout } = await room(notes, '--out', out, '--json');
  const { notes: found, missing, openTasks, problems } = JSON.parse(stdout) as Record<string, unknown>;
  assert.deepEqual(
    { found, missing, openTasks, problems },
    { found: count + 1, missing: count, openTasks: count, problems: 0 },
  );
  assert.match(readFileSync(join(out, 'notes', 'hub.html'), 'utf8'), /and 1,800 other notes/);
});

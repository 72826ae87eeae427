import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NoteIndex } from './note-index.ts';
import { pagePaths } from './page-paths.ts';

const PATHS = ['Same.md', 'deep/a/Same.md', 'deep/b/same.md', 'plans/Plan ü.md', 'x.y.md', 'deep/Only.markdown'];
const index = new NoteIndex(
  PATHS.map((path) => ({ path, names: path === 'x.y.md' ? ['Dotted', 'The title'] : [] })),
  ['pictures/a.png', 'deep/a.png', 'notes.txt'],
);

const wiki = (target: string, from = 'plans/Plan ü.md') => index.wiki(target, from)?.path;

test('a name finds a note by path, end of path, name, alias and title; case and Unicode form do not count', () => {
  assert.equal(wiki('plan u\u0308'), 'plans/Plan ü.md');
  assert.equal(wiki('PLANS/plan ü.md'), 'plans/Plan ü.md');
  assert.equal(wiki('b/same'), 'deep/b/same.md');
  assert.equal(wiki('/deep/a/Same'), 'deep/a/Same.md');
  assert.equal(wiki('x.y'), 'x.y.md');
  assert.equal(wiki('dotted'), 'x.y.md');
  assert.equal(wiki('the title'), 'x.y.md');
  assert.equal(wiki('only'), 'deep/Only.markdown');
  assert.equal(wiki('a.png'), 'deep/a.png');
  assert.equal(wiki('pictures/a.png'), 'pictures/a.png');
});

test('of notes of one name the neighbour is taken, then the one nearest to the top, and the others are told', () => {
  assert.deepEqual(index.wiki('same', 'deep/b/other.md'), {
    kind: 'note',
    path: 'deep/b/same.md',
    others: ['Same.md', 'deep/a/Same.md'],
  });
  assert.equal(wiki('same'), 'Same.md');
});

test('nothing outside of the room is found, whatever the path says', () => {
  for (const target of ['..', '.', '', '../..', '../../Same', '../../../etc/passwd', '/', 'plans/../../Same'])
    assert.equal(wiki(target), undefined, target);
  assert.equal(wiki('../Same'), 'Same.md');
  assert.equal(index.relative('../../Same.md', 'plans/Plan ü.md'), undefined);
});

test('a Markdown link is a path from its note, with or without the ending', () => {
  assert.equal(index.relative('../deep/a/Same.md', 'plans/Plan ü.md')?.path, 'deep/a/Same.md');
  assert.equal(index.relative('a/Same', 'deep/x.md')?.path, 'deep/a/Same.md');
  assert.equal(index.relative('Same.md', 'plans/Plan ü.md'), undefined);
  assert.equal(index.relative('/notes.txt', 'plans/Plan ü.md')?.path, 'notes.txt');
});

test('no two notes share a page, not where case does not count, and no page has the name of a folder', () => {
  const long = `${'ü'.repeat(125)}.md`;
  const pages = pagePaths(['a.md', 'A.md', 'a.markdown', 'a.html/b.md', 'c.md', long, 'b/a.md']);
  assert.equal(new Set(Array.from(pages.values(), (page) => page.toLowerCase())).size, 7);
  assert.notEqual(pages.get('a.md'), 'notes/a.html');
  assert.equal(pages.get('b/a.md'), 'notes/b/a.html');
  for (const page of pages.values())
    for (const name of page.split('/')) assert.ok(Buffer.byteLength(name) <= 255, name);
});

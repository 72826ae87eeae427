import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseTaskQuery, type Task, tagsIn, taskOf, tasksOf } from './task-query.ts';

const task = (path: string, line: string, heading = ''): Task => taskOf(line, { path, heading, anchor: '' }) as Task;

const TASKS = [
  task('plans/a.md', '[ ] measure the writes #bench/cold 📅 2026-12-01', 'Steps'),
  task('plans/b.md', '[x] write it down #paper'),
  task('other/c.md', '[ ] ask the owner'),
  task('other/d.md', '[-] dropped #bench'),
];

const found = (query: string) => tasksOf(parseTaskQuery(query), TASKS).found.map(({ path }) => path);

test('a list item with a box is a task; anything else is not', () => {
  assert.deepEqual(task('n.md', '[X] done [[x]]').isDone, true);
  assert.equal(task('n.md', '[ ] buy milk (due:: 2026-01-02)').due, '2026-01-02');
  for (const text of ['[]', '[ ]', 'x [ ] y', '[link](a.md)', '[?] what'])
    assert.equal(taskOf(text, { path: '', heading: '', anchor: '' }), undefined, text);
});

test('tags in prose are words behind a hash, not numbers, anchors or parts of addresses', () => {
  assert.deepEqual(tagsIn('#One (#two/three) #42 a#b http://x/#c #one #4x'), ['one', 'two/three', '4x']);
});

test('every line of a query narrows it', () => {
  const cases: [string, string[]][] = [
    ['', ['plans/a.md', 'plans/b.md', 'other/c.md', 'other/d.md']],
    ['not done', ['plans/a.md', 'other/c.md']],
    ['done', ['plans/b.md', 'other/d.md']],
    ['path includes PLANS\nnot done', ['plans/a.md']],
    ['path does not include plans', ['other/c.md', 'other/d.md']],
    ['description includes Owner', ['other/c.md']],
    ['heading includes step', ['plans/a.md']],
    ['tag includes #bench', ['plans/a.md', 'other/d.md']],
    ['tags include bench/cold', ['plans/a.md']],
    ['tags do not include #bench', ['plans/b.md', 'other/c.md']],
    ['no tags', ['other/c.md']],
    ['has due date', ['plans/a.md']],
    ['due before 2026-12-02', ['plans/a.md']],
    ['due after 2026-12-01', []],
    ['due on 2026-12-01', ['plans/a.md']],
    ['# a comment\n\nlimit 1', ['plans/a.md']],
    ['sort by path', ['other/c.md', 'other/d.md', 'plans/a.md', 'plans/b.md']],
    ['sort by path reverse\nlimit to 2 tasks', ['plans/b.md', 'plans/a.md']],
  ];
  for (const [query, paths] of cases) assert.deepEqual(found(query), paths, query);
});

test('a limit cuts what is shown and leaves the number of what there is', () => {
  assert.equal(tasksOf(parseTaskQuery('limit 1'), TASKS).total, 4);
});

test('lines that are not understood are told, each one', () => {
  assert.deepEqual(parseTaskQuery('not done\nfrobnicate\nlimit many\npath like x').errors, [
    'frobnicate',
    'limit many',
    'path like x',
  ]);
});

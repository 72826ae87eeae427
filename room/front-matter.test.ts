import assert from 'node:assert/strict';
import { test } from 'node:test';
import { splitNote } from './front-matter.ts';

test('title, tags, aliases, date and properties are read, in the ways that people write them', () => {
  const { matter, body, bodyLine, errors } = splitNote(
    '\uFEFF---\r\ntitle: "A: b"\ntags: [One, "#two"]\naliases: X, Y z\ndecided: 2026-01-31T10:00:00Z\nowner: "[[Ada]]"\nn: 3\n---\n# Text\n',
  );
  assert.deepEqual(errors, []);
  assert.deepEqual(matter, {
    title: 'A: b',
    tags: ['one', 'two'],
    aliases: ['X', 'Y z'],
    date: '2026-01-31',
    status: undefined,
    properties: [
      ['owner', '[[Ada]]'],
      ['n', '3'],
    ],
  });
  assert.match(body, /^\n?# Text/);
  assert.equal(bodyLine, 7);
});

test('a note without front matter, and one that begins with a rule, are all text', () => {
  for (const source of ['# Only text\n', '---\n\nA rule, then text.\n', '', '---', '--- not\na: b\n---\n'])
    assert.equal(splitNote(source).body, source);
});

test('what is wrong with front matter is said, and the text behind it is kept', () => {
  const cases: [string, RegExp][] = [
    ['---\ntitle: [never closed\n---\nText', /front matter, line \d+: .*\]/],
    ['---\ntitle: x\n\nText without an end', /no line with --- ends it/],
    ['---\n- a\n- list\n---\nText', /expected lines like "title: …"/],
    ['---\ndate: 2026-02-30\n---\nText', /date is "2026-02-30"; write it like/],
    ['---\na: 1\na: 2\n---\nText', /unique/i],
    [
      `---\na: &a [x,x,x,x,x,x,x,x,x]\n${Array.from(
        { length: 9 },
        (_, i) =>
          `b${i}: &b${i} [${Array(9)
            .fill(i === 0 ? '*a' : `*b${i - 1}`)
            .join(',')}]`,
      ).join('\n')}\n---\nText`,
      /alias/i,
    ],
  ];
  for (const [source, says] of cases) {
    const { errors, body } = splitNote(source);
    assert.match(errors.join('\n'), says);
    assert.match(body, /Text/);
  }
});

test('names of properties that every object has are properties like others', () => {
  const { matter, errors } = splitNote('---\n__proto__: x\nconstructor: y\n---\n');
  assert.deepEqual(errors, []);
  assert.deepEqual(matter.properties.map(([name]) => name).sort(), ['__proto__', 'constructor']);
});

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseFacts } from './facts.ts';

const SHIPPED = join(import.meta.dirname, '../../evaluations/facts.toml');

test('the facts that come with Forebay are complete: question, why a cache or not, change of mind, questions to the owner', () => {
  const { candidates } = parseFacts(SHIPPED, readFileSync(SHIPPED, 'utf8'));
  const names = candidates.map(({ name }) => name);
  for (const name of [
    'BlobFuse2',
    'Alluxio',
    'JuiceFS',
    'Mountpoint for Amazon S3',
    'VAST',
    'Crusoe',
    'Silk',
    'TensorCache',
    'Manifold / Singularity',
  ])
    assert.ok(names.includes(name), name);
  for (const { name, figures } of candidates)
    assert.ok(figures.length > 0, `${name} says nothing, not even that nothing is known`);
});

const GOOD = `[[candidates]]
name = "X"
question = "q?"
is-a-cache = "no"
change-of-mind = "much"
ask = ["why?"]

[[candidates.figures]]
says = "1 s"
source = "s"
date = 2026-11-01
confidence = "paper"
`;

test('a date may be one of TOML; a figure without source, date or confidence is refused', () => {
  assert.equal(parseFacts('f.toml', GOOD).candidates[0]?.figures[0]?.date, '2026-11-01');
  const refused = (text: string, message: RegExp) => assert.throws(() => parseFacts('f.toml', text), { message });
  refused(GOOD.replace('source = "s"\n', ''), /candidates\[1\]\.figures\[1\]\.source: is missing; expected string/);
  refused(
    GOOD.replace('2026-11-01', '"last week"'),
    /f\.toml:\d+: .*date: expected a date; write it like date = "2026-11"/,
  );
  refused(GOOD.replace('"paper"', '"sure"'), /confidence: expected "measured by its owner" or .*, got "sure"/);
  refused(GOOD.replace('question', 'qestion'), /qestion: unknown key; did you mean question\?/);
  refused(GOOD.replace('"1 s"', '""'), /says: expected text, got none/);
  refused(`${GOOD}${GOOD}`, /"X" is there twice/);
});

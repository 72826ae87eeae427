/** `forebay evaluate` as a whole: real servers and command lines on real nodes, good ones and bad ones. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Child } from '../child.ts';
import { kernelShapingLacks } from '../links/links.ts';
import type { Results } from './results.ts';

const COMMAND = join(import.meta.dirname, '..', '..', 'bin', 'forebay');
const lacks = kernelShapingLacks();
const skip = lacks === undefined || process.env['FOREBAY_REQUIRE_ALL'] === '1' ? false : `needs ${lacks}`;

const HEAD = `
name = "test"
question = "Which?"
nodes = 2
linkMbit = 400
rounds = 1
timeout = "20s"
`;
const READS = '[scenarios.fan-out-read]\nsize = "3MiB"\n';
const ORIGIN = '[[candidates]]\nname = "origin"\nkind = "origin"\n';
const GET = `curl -sf -o "\${file}" "\${origin}/\${bucket}/\${key}"`;

interface Ran {
  readonly code: number | string;
  readonly said: string;
  readonly out: string;
  results(): Results;
}

async function evaluate(t: TestContext, text: string, more: readonly string[] = [], directory?: string): Promise<Ran> {
  const own = directory ?? mkdtempSync(join(tmpdir(), 'forebay-evaluate-test-'));
  if (directory === undefined) t.after(() => rmSync(own, { recursive: true, force: true }));
  const file = join(own, 'evaluation.toml');
  writeFileSync(file, text);
  const out = join(own, 'out');
  const child = await Child.start(COMMAND, ['evaluate', file, '--out', out, ...more]);
  t.after(() => child.kill());
  child.process.stdout?.resume();
  const code = await child.ended();
  const results = () => JSON.parse(readFileSync(join(out, 'results.json'), 'utf8')) as Results;
  return { code, said: child.complaint, out, results };
}

const statusOf = ({ cells }: Results, candidate: string) => cells.find((cell) => cell.candidate === candidate);
const leftOver = () => readdirSync('/dev/shm').filter((name) => name.startsWith('forebay-evaluate-'));

test('an evaluation with unknown keys, variables, kinds or names is refused before anything starts, each with its place', async (t) => {
  const wrong = async (text: string, said: RegExp) => {
    const { code, said: complaint } = await evaluate(t, text);
    assert.equal(code, 2);
    assert.match(complaint, said);
  };
  await wrong(`${HEAD}round = 2\n${READS}${ORIGIN}`, /round: unknown key; did you mean rounds\?/);
  await wrong(
    `${HEAD}${READS}[[candidates]]\nname = "x"\nkind = "posix"\npath = "\${mout}"\n`,
    /unknown variable mout/,
  );
  await wrong(`${HEAD}${READS}${ORIGIN}${ORIGIN}`, /two have the name "origin"/);
  await wrong(`${HEAD}[scenarios.fan-out-read]\nsize = "3 apples"\n${ORIGIN}`, /expected a size such as "64MiB"/);
  await wrong(`${HEAD}${ORIGIN}[scenarios]\n`, /name one at least/);
});

test('wrong bytes are told with their offset, a warm cache is no cold one, what hangs or does not start has failed, and nothing is left', {
  skip,
}, async (t) => {
  const before = leftOver();
  const exec = (name: string, lines: string) => `[[candidates]]\nname = "${name}"\nkind = "exec"\n${lines}\n`;
  const text =
    HEAD.replace('20s', '4s') +
    READS +
    ORIGIN +
    exec('honest', `get = '''${GET}'''`) +
    exec('flips', `get = '''${GET} && printf X | dd of="\${file}" bs=1 seek=1048579 conv=notrunc status=none'''`) +
    exec(
      'warmed',
      `warm = '''curl -sf -o "\${dir}/\${key}" "\${origin}/\${bucket}/\${key}"'''\nget = '''cp "\${dir}/\${key}" "\${file}"'''`,
    ) +
    exec('hangs', `get = 'sleep 1000'`) +
    exec('crashes', `start = 'false'\nget = '''${GET}'''`) +
    `[[candidates]]\nname = "mount that fails"\nkind = "posix"\nmount = "sh -c 'echo no such thing >&2; exit 3'"\npath = "\${mount}"\n` +
    `[[candidates]]\nname = "told of"\nkind = "documented"\n`;
  const ran = await evaluate(t, text);
  assert.equal(ran.code, 0, ran.said);
  const results = ran.results();
  assert.equal(statusOf(results, 'origin')?.status, 'measured');
  assert.equal(statusOf(results, 'honest')?.status, 'measured');
  const flips = statusOf(results, 'flips');
  assert.deepEqual([flips?.status, flips?.offset], ['failed', 1_048_579]);
  assert.equal(statusOf(results, 'warmed')?.status, 'not cold');
  assert.match(statusOf(results, 'hangs')?.reason ?? '', /did not end within 4 s/);
  assert.match(statusOf(results, 'mount that fails')?.reason ?? '', /ended with 3: no such thing/);
  assert.equal(statusOf(results, 'told of')?.status, 'not run');
  assert.ok(existsSync(join(ran.out, 'index.html')));
  assert.deepEqual(leftOver(), before);
  const sleeping = await Child.start('pgrep', ['-f', '^sleep 1000$']);
  assert.notEqual(await sleeping.ended(), 0, 'the command that hung has ended too');
});

test('after kill -9 nothing is left but the trials, and --resume goes on with them; another evaluation is refused', {
  skip,
}, async (t) => {
  const before = leftOver();
  const directory = mkdtempSync(join(tmpdir(), 'forebay-evaluate-test-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const text = `${HEAD}${READS}${ORIGIN}[[candidates]]\nname = "other"\nkind = "exec"\nget = '''${GET}'''\n`;
  const file = join(directory, 'evaluation.toml');
  writeFileSync(file, text);
  const out = join(directory, 'out');
  const trials = join(out, 'trials.ndjson');
  const child = await Child.start(COMMAND, ['evaluate', file, '--out', out, '--rounds', '50']);
  t.after(() => child.kill());
  child.process.stdout?.resume();
  const measured = () => (existsSync(trials) ? readFileSync(trials, 'utf8').split('\n').length - 2 : 0);
  while (measured() < 3) {
    assert.equal(child.hasEnded, false, child.complaint);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await child.kill();
  const had = measured();
  const again = await evaluate(t, text, ['--resume', '--rounds', '2'], directory);
  assert.equal(again.code, 0, again.said);
  assert.deepEqual(leftOver(), before);
  assert.ok(again.results().trials.length >= had);
  const fresh = await evaluate(t, text, [], directory);
  assert.equal(fresh.code, 2);
  assert.match(fresh.said, /--resume/);
  const other = await evaluate(t, text.replace('Which?', 'What else?'), ['--resume'], directory);
  assert.equal(other.code, 2);
  assert.match(other.said, /another evaluation/);
});

test('Forebay, an async copy and redis-server over all three scenarios end in a report with every figure', {
  skip,
}, async (t) => {
  const text = `${HEAD}${READS}
[scenarios.fan-out-write]
size = "2MiB"
filesPerNode = 1
[scenarios.fan-in-read]
values = 4
valueSize = "64KiB"
${ORIGIN}[[candidates]]
name = "Forebay"
kind = "forebay"
[[candidates]]
name = "async copy"
kind = "async-copy"
[[candidates]]
name = "redis"
kind = "resp"
start = "redis-server --port \${port} --bind \${address} --protected-mode no --save '' --dir \${dir}"
endpoint = "\${address}:\${port}"
`;
  const ran = await evaluate(t, text.replace('20s', '60s'));
  assert.equal(ran.code, 0, ran.said);
  const { cells, figures } = ran.results();
  const told = cells.map(({ candidate, scenario, status }) => `${scenario}: ${candidate} ${status}`);
  const all = ['fan-out-read', 'fan-out-write', 'fan-in-read'];
  for (const scenario of all)
    for (const name of ['origin', 'Forebay'])
      assert.ok(told.includes(`${scenario}: ${name} measured`), told.join('\n'));
  assert.ok(told.includes('fan-in-read: async copy not applicable'));
  assert.ok(told.includes('fan-in-read: redis measured'));
  assert.ok(told.includes('fan-out-write: redis not applicable'));
  const once = figures.find(({ id }) => id === 'fan-out-read/Forebay/originBytesRatio');
  assert.equal(once?.median, 1);
  assert.match(readFileSync(join(ran.out, 'report.md'), 'utf8'), /Forebay/);
});

/** What every real client must be able to do through the door, whatever the origin behind it. */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { patternSlices } from '../../bench/pattern.ts';
import { type Client, type Door, PART_BYTES, type Tool } from './client.ts';

export const MANY = 10_000;
export const manyKey = (i: number) => `many/${String(i).padStart(5, '0')}`;
export const manyBytes = (i: number) => Buffer.from(`object ${i}\n`);

const ODD_KEYS = [
  'with space',
  'plus+and more++',
  'percent%2Fslash',
  'half%percent%',
  'ünïcode/日本語/Ω',
  'emoji 🐟',
  'a=b&c;d,e@f$g',
  'quote\'s "double"',
  '(brackets) [square] {curly}',
  'tilde~ and caret^',
];

/** What the suite asks of the origin itself, behind Forebay's back. */
export interface OriginSide {
  /** The object's bytes; undefined when there is none. */
  bytes(key: string): Promise<Buffer | undefined>;
}

interface Case {
  readonly client: Client;
  readonly origin: OriginSide;
  /** Keys of this tool begin with it. */
  readonly prefix: string;
  readonly directory: string;
  /** A file of these bytes. */
  readonly file: (name: string, bytes: Buffer) => string;
  /** Downloads and compares. */
  readonly expectBytes: (key: string, bytes: Buffer) => Promise<void>;
}

const sample = (seed: number, sizeBytes: number) => Buffer.concat([...patternSlices(seed, sizeBytes)]);
const same = (a: Buffer | undefined, b: Buffer) => a !== undefined && hash('sha256', a) === hash('sha256', b);

async function uploads({ client, origin, prefix, file, expectBytes }: Case): Promise<void> {
  const bytes = sample(1, (1 << 20) + 7);
  await client.upload(`${prefix}plain`, file('plain', bytes));
  assert.ok(same(await origin.bytes(`${prefix}plain`), bytes), 'the origin has what was uploaded');
  await expectBytes(`${prefix}plain`, bytes);
  const again = sample(2, (1 << 20) + 7);
  await client.upload(`${prefix}plain`, file('again', again));
  await expectBytes(`${prefix}plain`, again);
  await client.upload(`${prefix}empty`, file('empty', Buffer.alloc(0)));
  await expectBytes(`${prefix}empty`, Buffer.alloc(0));
}

async function parts({ client, origin, prefix, file, expectBytes }: Case): Promise<void> {
  const bytes = sample(3, 3 * PART_BYTES);
  await client.uploadInParts(`${prefix}parts`, file('parts', bytes));
  assert.ok(same(await origin.bytes(`${prefix}parts`), bytes), 'the origin has the parts in order');
  await expectBytes(`${prefix}parts`, bytes);
  for (const [start, end] of [
    [0, 1],
    [PART_BYTES - 1000, PART_BYTES + 1000],
    [3 * PART_BYTES - 5, 3 * PART_BYTES],
  ] as const)
    assert.ok((await client.range(`${prefix}parts`, start, end)).equals(bytes.subarray(start, end)), `${start}–${end}`);
}

async function copies({ client, prefix, file, expectBytes }: Case): Promise<void> {
  const bytes = sample(4, 100_000);
  await client.upload(`${prefix}source`, file('source', bytes));
  await client.copy(`${prefix}source`, `${prefix}target`);
  await expectBytes(`${prefix}target`, bytes);
}

async function oddKeys({ client, origin, prefix, directory }: Case): Promise<void> {
  const [there, back] = [join(directory, 'odd'), join(directory, 'odd-back')];
  for (const [i, key] of ODD_KEYS.entries()) {
    mkdirSync(dirname(join(there, key)), { recursive: true });
    mkdirSync(back, { recursive: true });
    writeFileSync(join(there, key), sample(10 + i, 1000 + i));
  }
  await client.uploadFolder(there, `${prefix}odd/`);
  for (const [i, key] of ODD_KEYS.entries())
    assert.ok(same(await origin.bytes(`${prefix}odd/${key}`), sample(10 + i, 1000 + i)), `the origin has ${key}`);
  assert.deepEqual((await client.list(`${prefix}odd/`)).sort(), ODD_KEYS.map((key) => `${prefix}odd/${key}`).sort());
  await client.downloadFolder(`${prefix}odd/`, back);
  for (const [i, key] of ODD_KEYS.entries())
    assert.ok(same(readFileSync(join(back, key)), sample(10 + i, 1000 + i)), `${key} comes back as it was`);
}

async function lists({ client }: Case): Promise<void> {
  const keys = await client.list('many/');
  assert.deepEqual(
    keys.sort(),
    Array.from({ length: MANY }, (_, i) => manyKey(i)),
  );
}

async function deletes({ client, origin, prefix, directory }: Case): Promise<void> {
  const keys = await client.list(prefix);
  assert.ok(keys.includes(`${prefix}parts`) && keys.includes(`${prefix}target`));
  await client.remove(`${prefix}parts`);
  assert.equal(await origin.bytes(`${prefix}parts`), undefined);
  assert.deepEqual((await client.list(prefix)).sort(), keys.filter((key) => key !== `${prefix}parts`).sort());
  await client.download(`${prefix}parts`, join(directory, 'gone')).catch(() => {}); // rclone takes it for an empty folder
  assert.equal(existsSync(join(directory, 'gone')), false, 'a deleted object cannot be read');
}

/** Runs every step with one tool; a step is a subtest. */
export async function clientSuite(t: TestContext, tool: Tool, door: Door, origin: OriginSide): Promise<void> {
  const directory = join(door.directory, tool.name.replaceAll(' ', '-').toLowerCase());
  mkdirSync(directory, { recursive: true });
  const client = await tool.connect(t, { ...door, directory });
  if (client === undefined) return;
  t.after(() => client.close());
  const one: Case = {
    client,
    origin,
    directory,
    prefix: `of-${tool.name.replaceAll(' ', '-').toLowerCase()}/`,
    file(name, bytes) {
      writeFileSync(join(directory, name), bytes);
      return join(directory, name);
    },
    async expectBytes(key, bytes) {
      const file = join(directory, 'download');
      await client.download(key, file);
      assert.ok(same(readFileSync(file), bytes), `${key} comes back as it was`);
    },
  };
  await t.test('uploads, replaces and reads back', () => uploads(one));
  await t.test('uploads three parts of 8 MiB and reads ranges', () => parts(one));
  await t.test('copies', () => copies(one));
  await t.test('takes odd keys', () => oddKeys(one));
  await t.test(`lists ${MANY} keys through all pages`, () => lists(one));
  await t.test('deletes', () => deletes(one));
}

import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { credentialsOf, credentialsPath, ensureCredentialsFile, readCredentialsFile } from './credentials-file.ts';

async function inDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'forebay-credentials-'));
  await work(directory).finally(() => rm(directory, { recursive: true }));
}

test('the file lies below XDG_CONFIG_HOME, else below ~/.config', () => {
  assert.equal(credentialsPath({ homeDirectory: '/home/u', environment: {} }), '/home/u/.config/forebay/credentials');
  const environment = { XDG_CONFIG_HOME: '/etc/x' };
  assert.equal(credentialsPath({ homeDirectory: '/home/u', environment }), '/etc/x/forebay/credentials');
});

test('the first start makes a private key that may do everything, and later starts find it again', () =>
  inDirectory(async (directory) => {
    const path = join(directory, 'config', 'forebay', 'credentials');
    const first = await ensureCredentialsFile(path);
    assert.equal(first.created, true);
    assert.deepEqual(first.key.rights, ['read', 'write', 'admin']);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.equal((await stat(dirname(path))).mode & 0o777, 0o700);
    assert.match(await readFile(path, 'utf8'), new RegExp(`^aws_secret_access_key = ${first.key.secret}$`, 'm'));
    assert.deepEqual(await ensureCredentialsFile(path), { key: first.key, created: false });
  }));

test('nodes that start at the same moment agree on one key and leave nothing else behind', () =>
  inDirectory(async (directory) => {
    const path = join(directory, 'credentials');
    const made = await Promise.all(Array.from({ length: 8 }, () => ensureCredentialsFile(path)));
    assert.equal(new Set(made.map(({ key }) => key.id)).size, 1);
    assert.equal(made.filter(({ created }) => created).length, 1);
    assert.deepEqual(await readdir(directory), ['credentials']);
  }));

test('a file that others may read is refused', () =>
  inDirectory(async (directory) => {
    const path = join(directory, 'credentials');
    await ensureCredentialsFile(path);
    for (const mode of [0o640, 0o604, 0o620, 0o601]) {
      await chmod(path, mode);
      await assert.rejects(readCredentialsFile(path), {
        code: 'config',
        message: /others may read it \(mode 06|others may/,
      });
    }
    await chmod(path, 0o400);
    assert.ok(await readCredentialsFile(path));
  }));

test('a file without a key, and one that cannot be made, are clear errors', () =>
  inDirectory(async (directory) => {
    const path = join(directory, 'credentials');
    for (const text of [
      '',
      '[default]\n',
      '[other]\naws_access_key_id = FB123\naws_secret_access_key = 0123456789abcdef\n',
    ]) {
      await writeFile(path, text, { mode: 0o600 });
      await assert.rejects(ensureCredentialsFile(path), { code: 'config', message: /holds no aws_access_key_id/ });
    }
    const blocked = join(directory, 'blocked');
    await writeFile(blocked, '');
    await assert.rejects(ensureCredentialsFile(join(blocked, 'credentials')), { code: 'config', message: /ENOTDIR/ });
    await assert.rejects(ensureCredentialsFile(join(directory, 'n'.repeat(240))), {
      code: 'config',
      message: /cannot be written .* set XDG_CONFIG_HOME/,
    });
    await mkdir(join(directory, 'credentials.d'));
    await assert.rejects(readCredentialsFile(join(directory, 'credentials.d')), { code: 'config' });
    assert.equal(await readCredentialsFile(join(directory, 'none')), undefined);
  }));

test('keys are found by id, and nobody is anonymous unless the configuration says so', () => {
  const key = { id: 'FB1', secret: 's'.repeat(16), volumes: ['models'], rights: ['read'] as const };
  const credentials = credentialsOf([key], { anonymous: false });
  assert.equal(credentials.find('FB1'), key);
  assert.equal(credentials.find('constructor'), undefined);
  assert.equal(credentials.anonymous, undefined);
  assert.deepEqual(credentialsOf([], { anonymous: true }).anonymous?.rights, ['read', 'write', 'admin']);
});

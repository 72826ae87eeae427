import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openSecretFile } from './cluster-secret.ts';

const SECRET = 'a-secret-of-a-cluster';

function withFile(run: (path: string) => void): void {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-secret-'));
  try {
    run(join(directory, 'secret'));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test('a secret is replaced while the node runs, and the old ones stay good while the file is away', () => {
  withFile((path) => {
    let nowMs = 0;
    writeFileSync(path, `# of the cluster\n${SECRET}\n`, { mode: 0o600 });
    const file = openSecretFile(path, () => nowMs);
    const texts = () => file.secrets().map((secret) => Buffer.from(secret).toString());
    assert.equal(file.isOpenToOthers, false);
    assert.deepEqual(texts(), [SECRET]);
    writeFileSync(path, `the-next-secret-of-it\n${SECRET}\n`);
    nowMs = 2000;
    assert.deepEqual(texts(), ['the-next-secret-of-it', SECRET]);
    unlinkSync(path);
    nowMs = 4000;
    assert.deepEqual(texts(), ['the-next-secret-of-it', SECRET]);
  });
});

test('a secret file that is missing, empty, too short or open to others is told of', () => {
  withFile((path) => {
    assert.throws(() => openSecretFile(path, () => 0), /cannot be read \(ENOENT\)/);
    writeFileSync(path, '\n# nothing\n');
    assert.throws(() => openSecretFile(path, () => 0), /holds no secret/);
    writeFileSync(path, 'short\n');
    assert.throws(() => openSecretFile(path, () => 0), /at least 16 characters/);
    writeFileSync(path, SECRET);
    chmodSync(path, 0o644);
    assert.equal(openSecretFile(path, () => 0).isOpenToOthers, true);
  });
});

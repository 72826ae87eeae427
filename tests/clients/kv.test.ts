import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Daemon } from '../../bench/daemon.ts';
import { requirePython } from '../servers/python.ts';
import { BOTO3_VERSION } from './boto3.ts';
import { run } from './client.ts';
import { KEY } from './daemon.ts';

test('boto3 keeps, finds, locks and deletes KV blocks in a kv volume, by virtual hosts and by paths', async (t) => {
  const python = await requirePython(t, 'boto3', BOTO3_VERSION);
  if (python === undefined) return;
  const directory = mkdtempSync(join(tmpdir(), 'forebay-clients-kv-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const daemon = await Daemon.start({
    directory,
    volumes: { blocks: { kind: 'kv' } },
    node: { capacity: '2GiB' },
    key: KEY,
    environment: {},
  });
  t.after(() => daemon.stop());
  const port = daemon.s3.split(':').at(-1) as string;
  const script = join(import.meta.dirname, 'kv-boto3.py');
  const said = await run(python, [script, port, 'blocks', KEY.id, KEY.secret], { AWS_EC2_METADATA_DISABLED: 'true' });
  const found = JSON.parse(said.toString()) as Record<string, unknown>;
  for (const style of ['virtual', 'path'])
    assert.deepEqual(found[style], {
      miss: 404,
      length: true,
      whole: true,
      range: true,
      locks: [200, 412, 412, 412, 412, 412, 412, 412],
      parts: true,
      listed: [`large ${style}`, `lock ${style}`, `model@8@0@${style}@bfloat16`],
      deleted: 204,
      after: 404,
    });
});

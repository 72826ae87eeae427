/** Several daemons may open a coordinator's file at the same time, also the first time. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';

const OPENERS = 4;
const ROUNDS = 60;
const OPENER = `
  const { parentPort, workerData } = require('node:worker_threads');
  import(workerData).then(({ openEmbeddedFile }) => {
    parentPort.on('message', (path) => {
      try {
        openEmbeddedFile(path).database.close();
        parentPort.postMessage('opened');
      } catch (error) {
        parentPort.postMessage(String(error));
      }
    });
    parentPort.postMessage('ready');
  });`;

async function answer(worker: Worker): Promise<string> {
  const [message] = await once(worker, 'message');
  return message;
}

test('daemons that open a new coordinator at the same moment all get it', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-coordinator-'));
  const workerData = new URL('embedded-schema.ts', import.meta.url).href;
  const workers = Array.from({ length: OPENERS }, () => new Worker(OPENER, { eval: true, workerData }));
  t.after(async () => {
    await Promise.all(workers.map((worker) => worker.terminate()));
    rmSync(directory, { recursive: true, force: true });
  });
  await Promise.all(workers.map(answer));
  for (let round = 0; round < ROUNDS; round++) {
    const path = join(directory, `${round}.sqlite`);
    const answers = workers.map(answer);
    for (const worker of workers) worker.postMessage(path);
    assert.deepEqual(new Set(await Promise.all(answers)), new Set(['opened']), `round ${round}`);
  }
});

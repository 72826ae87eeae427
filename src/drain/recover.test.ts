import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dirty } from '../../tests/write/samples.ts';
import { SimNodes, VOLUME } from '../../tests/write/sim-nodes.ts';
import { isForebayError } from '../core/errors.ts';
import type { KeptContent } from '../write/kept-places.ts';
import { RecordLineage } from '../write/record-lineage.ts';
import { recover, serveRecovery } from './recover.ts';

test('a coordinator that was used for long since it lost its data gets records again only where somebody says so', async () => {
  const sim = new SimNodes();
  const { cluster, records } = await sim.start('a');
  const lineage = new RecordLineage({
    coordinator: sim.coordinator.attach(sim.attachment('a')),
    random: sim.random('a'),
  });
  const version = dirty(1, { replicas: ['a'] });
  const { content, sizeBytes, chunkSizeBytes } = version;
  const noted = { record: { current: version }, session: '', revision: 5 };
  const kept: KeptContent = {
    content,
    volume: VOLUME,
    sizeBytes,
    chunkSizeBytes,
    key: 'k',
    noted,
    isUsed: false,
    isReplaced: false,
    isForeign: false,
  };
  const keeping = { contents: () => [kept], judged: () => undefined };
  serveRecovery({ cluster, keeping });
  for (let n = 2; n < 10; n += 1)
    await sim.run(records.commit({ volume: VOLUME, key: `${n}`, expected: 0, record: { current: dirty(n) } }));
  const { signal } = new AbortController();
  const ask = (force: boolean) =>
    sim.run(recover(VOLUME, { cluster, records, lineage, keeping, replicasOf: () => 1, force }, signal));
  await assert.rejects(ask(false), (error) => isForebayError(error, 'invalidRequest') && /--force/.test(error.message));
  assert.equal((await sim.run(records.read(VOLUME, 'k'))).record, undefined);
  assert.deepEqual(await ask(true), { recovered: 1, replaced: 0, bytes: sizeBytes, known: 0, silent: [] });
  const { record } = await sim.run(records.read(VOLUME, 'k'));
  assert.equal(record?.current?.kind === 'dirty' && record.current.content, content);
  assert.deepEqual(await ask(true), { recovered: 0, replaced: 0, bytes: 0, known: 1, silent: [] });
});

import assert from 'node:assert/strict';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { expectMembers, fixture, MiB, total, VOLUME } from './fixture.ts';
import { eventually } from './node.ts';
import { stranger } from './stranger.ts';

const OBJECTS = Array.from({ length: 4 }, (_, i) => ({ key: `k${i}`, sizeBytes: 9 * MiB + i, seed: i + 1 }));
const NEW = 'the secret that comes after the other';

test('the secret is replaced, node after node, while reads from peers go on: none fails, and the old one opens nothing then', async (t) => {
  const { directory, secret, start } = await fixture(t, { generated: OBJECTS });
  const names = ['a', 'b', 'c'];
  const fileOf = (name: string) => join(directory, name, 'secret');
  const write = (name: string, ...lines: string[]) => {
    writeFileSync(`${fileOf(name)}.new`, `${lines.join('\n')}\n`, { mode: 0o600 });
    renameSync(`${fileOf(name)}.new`, fileOf(name));
  };
  for (const name of names) {
    mkdirSync(join(directory, name));
    write(name, secret);
  }
  const nodes = await Promise.all(names.map((name) => start(name, { cluster: { secretFile: fileOf(name) } })));
  await expectMembers(nodes, names);
  const [a, b, c] = nodes;
  let isOver = false;
  let rounds = 0;
  // Everything that b and c read comes over the network between nodes, again and again.
  const reading = (async () => {
    for (; !isOver; rounds++) {
      for (const object of OBJECTS) await Promise.all([b!, c!].map((node) => node.expectWhole(VOLUME, object)));
      for (const node of [b!, c!]) await node.post('/v1/evict', { volume: VOLUME, prefix: '' });
    }
  })();
  reading.catch(() => undefined);
  for (const object of OBJECTS) await a!.expectWhole(VOLUME, object);
  const newcomer = await stranger(t, { secret: NEW });
  const takes = (name: string) =>
    newcomer.call(nodes[names.indexOf(name)]!, { type: 'hello' }).then(
      () => true,
      () => false,
    );
  for (const lines of [[secret, NEW], [NEW, secret], [NEW]])
    for (const name of names) {
      write(name, ...lines);
      await eventually(`${name} takes the new secret`, () => takes(name));
      // The file is looked at once a second; the next node follows when this one's connections had time to come anew.
      await sleep(1200);
      const before = rounds;
      await Promise.race([eventually('reads go on', () => rounds > before), reading]);
    }
  isOver = true;
  await reading;
  t.diagnostic(`${rounds} rounds of reads while the secret changed`);
  const old = await stranger(t, { secret });
  for (const node of nodes) await assert.rejects(old.call(node, { type: 'hello' }), /another cluster secret/);
  for (const node of nodes) assert.doesNotMatch(node.log, /peer.estranged/);
  assert.equal(await total(nodes, 'forebay_pulls_total', { result: 'peerRefused' }), 0);
});

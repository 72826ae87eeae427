import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from './config.ts';
import { diagnoseWrites } from './doctor-writes.ts';

const configOf = (writes: string) =>
  parseConfig(
    { text: `[volumes.work]\norigin = "memory:"\nwrite = true\n${writes}` },
    { hostName: 'here', homeDirectory: '/home/me', workingDirectory: '/work', environment: {} },
  );

const DISK = { isMemory: false };

test('doctor warns of copies that have nowhere to go, that share a fate, or that are in memory', () => {
  const local = configOf('ack = "local"');
  const warnings = (...args: Parameters<typeof diagnoseWrites>) =>
    diagnoseWrites(...args)
      .filter(({ level }) => level === 'warn')
      .map(({ text }) => text);
  assert.match(warnings(local, { zones: ['a'], ...DISK })[0] ?? '', /replicas = 2, but this is the only node/);
  const three = configOf('ack = "replicated"\nreplicas = 3');
  assert.match(
    warnings(three, { zones: ['a', 'b'], ...DISK })[0] ?? '',
    /only 2 nodes are there.*onDegraded = "wait" decides/,
  );
  assert.match(warnings(local, { zones: ['a', 'a'], ...DISK })[0] ?? '', /all nodes are in one zone/);
  assert.deepEqual(warnings(local, { zones: ['a', 'b'], ...DISK }), []);
  assert.match(warnings(local, { zones: ['a', 'b'], isMemory: true })[0] ?? '', /lost with the machine/);
  assert.deepEqual(diagnoseWrites(configOf(''), { zones: ['a'], ...DISK }), [], 'nothing of other volumes');
});

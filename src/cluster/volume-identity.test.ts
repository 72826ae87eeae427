import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Life, SimClock, SimMachineClock } from '../../sim/sim-clock.ts';
import { NO_COORDINATOR_FAULTS, SimCoordinator } from '../../sim/sim-coordinator.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { Trace } from '../../sim/trace.ts';
import { isForebayError } from '../core/errors.ts';
import { checkVolumes } from './volume-identity.ts';

const MODELS = { name: 'models', origin: 's3://lake/models', kind: 'objects', chunkSizeBytes: 16 << 20 };

function start() {
  const random = new SimRandom(1);
  const trace = new Trace();
  const clock = new SimClock(random, trace);
  const faults = { ...NO_COORDINATOR_FAULTS, lostAnswerChance: 0.2 };
  const server = new SimCoordinator({ clock, random, trace, faults });
  const attach = (name: string) => {
    const life = new Life(name);
    return server.attach({ life, clock: new SimMachineClock(clock, random).attach(life) });
  };
  return { clock, attach };
}

test('the first node writes what a volume is, and others that agree are let in', async () => {
  const { clock, attach } = start();
  const other = { ...MODELS, name: 'other', chunkSizeBytes: 1 << 20 };
  await clock.settle(Promise.all([checkVolumes(attach('a'), [MODELS]), checkVolumes(attach('b'), [MODELS, other])]));
  await clock.settle(checkVolumes(attach('c'), [other, MODELS]));
  await clock.settle(checkVolumes(attach('d'), []));
});

test('a node with another definition of a volume is told both', async () => {
  const { clock, attach } = start();
  await clock.settle(checkVolumes(attach('a'), [MODELS]));
  for (const change of [{ origin: 'az://lake/models' }, { kind: 'kv' }, { chunkSizeBytes: 8 << 20 }]) {
    const checking = checkVolumes(attach('b'), [{ ...MODELS, ...change }]);
    await assert.rejects(clock.settle(checking), (error: unknown) => {
      assert.ok(isForebayError(error, 'clusterMismatch'));
      assert.match(error.message, /models/);
      for (const value of Object.values(change))
        assert.ok(error.message.includes(JSON.stringify(value)), error.message);
      assert.ok(error.message.includes(JSON.stringify(MODELS.origin)));
      return true;
    });
  }
});

test('a definition that is no text of ours is shown, not trusted', async () => {
  const { clock, attach } = start();
  const value = new TextEncoder().encode('{'.repeat(5000));
  const put = attach('a').transaction({ compares: [], apply: [{ put: 'volumes/models', value }] });
  await clock.settle(put);
  const checking = checkVolumes(attach('b'), [MODELS]);
  await assert.rejects(clock.settle(checking), (error: unknown) => {
    return isForebayError(error, 'clusterMismatch') && error.message.length < 2000;
  });
});

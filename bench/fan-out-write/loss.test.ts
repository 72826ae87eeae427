import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLost, isPromiseBroken, type KillTrial, lossRows } from './loss.ts';

const trial = (change: Partial<KillTrial>): KillTrial => ({
  system: 'forebay',
  victim: 'node-1',
  killedAtS: 0.1,
  moment: 'safe',
  step: 2,
  before: 1,
  restored: 2,
  restoreS: 1,
  ...change,
});

test('a step that its ranks had written is lost when an older one is all that can be restored', () => {
  assert.equal(isLost(trial({ moment: 'exposed', restored: 1 })), true);
  assert.equal(isLost(trial({ moment: 'exposed', restored: 2 })), false);
  assert.equal(isLost(trial({ moment: 'writing', restored: 1 })), false);
});

test('a promise is broken when what was reported safe cannot be restored, be it the step before', () => {
  assert.equal(isPromiseBroken(trial({ restored: 1 })), true);
  assert.equal(isPromiseBroken(trial({ moment: 'durable', restored: 1 })), true);
  assert.equal(isPromiseBroken(trial({ moment: 'exposed', restored: 1 })), false);
  const { restored: _, ...nothing } = trial({ moment: 'writing' });
  assert.equal(isPromiseBroken(nothing), true);
});

test('the table counts losses by what had been told when the node was killed', () => {
  const trials = [
    trial({ system: 'async', moment: 'exposed', restored: 1 }),
    trial({ system: 'async', moment: 'exposed' }),
    trial({}),
    trial({ moment: 'writing', restored: 1 }),
  ];
  assert.deepEqual(lossRows(trials, '!'), [
    ['node killed …', 'Forebay', 'async copy'],
    ['while it was written', '0 of 1', '–'],
    ['written, not yet safe', '–', '!1 of 2'],
    ['safe, not yet durable', '0 of 1', '–'],
    ['durable', '–', '–'],
    ['all', '0 of 2', '!1 of 2'],
  ]);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ForebayError } from '../core/errors.ts';
import { estrangedProbeMs } from '../core/limits.ts';
import type { Clock } from '../io/io.ts';
import type { Event } from '../observe/events.ts';
import { Estranged } from './estranged.ts';
import type { Members } from './member.ts';

const members = (...sessions: readonly string[]): Members => ({
  epoch: 3,
  members: sessions.map((session) => ({
    node: session[0] as string,
    session,
    zone: 'z',
    capacityBytes: 1,
    address: { host: '127.0.0.1', port: 1 },
    protocol: 1,
  })),
});
const names = ({ members: those }: Members) => those.map(({ node }) => node).join();

/** Sleeps end when the test says so. */
class StepClock implements Clock {
  readonly slept: number[] = [];
  readonly #sleepers: (() => void)[] = [];
  readonly bootId = 'boot';
  boottimeMs = () => 0;
  wallMs = () => 0;

  sleep(ms: number): Promise<void> {
    this.slept.push(ms);
    return new Promise((resolve) => this.#sleepers.push(resolve));
  }

  async step(): Promise<void> {
    for (const wake of this.#sleepers.splice(0)) wake();
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  }
}

function estranged() {
  const clock = new StepClock();
  const events: Event[] = [];
  const refusing = new Set<string>();
  const probed: string[] = [];
  let changes = 0;
  const closing = new AbortController();
  const subject = new Estranged({
    clock,
    emit: (event) => void events.push(event),
    closing: closing.signal,
    probe: async (node) => {
      probed.push(node);
      if (refusing.has(node)) throw new ForebayError('peerRefused', `${node} refuses`);
    },
    onChange: () => void changes++,
  });
  return { clock, events, refusing, probed, closing, subject, changes: () => changes };
}

test('a member that refuses is left out and said once, however often it refuses', () => {
  const { subject, events, changes } = estranged();
  assert.equal(names(subject.without(members('a1', 'b1'))), 'a,b');
  subject.refused('b', 'b1', 'another secret');
  subject.refused('b', 'b1', 'another secret');
  assert.equal(names(subject.without(members('a1', 'b1'))), 'a');
  assert.equal(subject.why('b'), 'another secret');
  assert.equal(changes(), 1);
  assert.deepEqual(events, [{ kind: 'peer.estranged', peer: 'b', message: 'another secret' }]);
});

test('it is asked again at intervals, and in again when it answers', async () => {
  const { subject, clock, refusing, probed, events, changes } = estranged();
  refusing.add('b');
  subject.refused('b', 'b1', 'another secret');
  await clock.step();
  await clock.step();
  assert.deepEqual(probed, ['b', 'b']);
  assert.equal(names(subject.without(members('a1', 'b1'))), 'a');
  refusing.clear();
  await clock.step();
  assert.equal(names(subject.without(members('a1', 'b1'))), 'a,b');
  assert.equal(subject.why('b'), undefined);
  assert.equal(changes(), 2);
  assert.deepEqual(events.at(-1), { kind: 'peer.reconciled', peer: 'b' });
  await clock.step();
  assert.deepEqual(probed, ['b', 'b', 'b'], 'nobody is left to be asked');
  assert.ok(clock.slept.every((ms) => ms === estrangedProbeMs));
});

test('a new life of a member that refused is given a chance, and one that left is forgotten', () => {
  const { subject } = estranged();
  subject.refused('b', 'b1', 'another secret');
  subject.refused('c', 'c1', 'another secret');
  assert.equal(names(subject.without(members('a1', 'b2', 'c1'))), 'a,b');
  subject.without(members('a1', 'b2'));
  assert.equal(subject.why('c'), undefined);
});

test('closing ends the questions', async () => {
  const { subject, clock, probed, closing, refusing } = estranged();
  refusing.add('b');
  subject.refused('b', 'b1', 'another secret');
  closing.abort();
  await clock.step();
  assert.deepEqual(probed, []);
});

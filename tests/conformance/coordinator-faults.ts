/** What every Coordinator does on bad days: lines that break, answers that are lost, states that go back. */
import assert from 'node:assert/strict';
import { isForebayError } from '../../src/core/errors.ts';
import type { Coordinator } from '../../src/io/coordinator.ts';
import { bytes, fails, get, increment, names, type On, put, text, watchUntil } from './coordinator.ts';

const lost = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

export function coordinatorFaultCases(on: On): void {
  on(
    'S-16: a holder that is cut off stops acting before its session ends, and never acts under it again',
    async (under) => {
      if (!under.openOverLine) return;
      const { clock, ttlMs } = under;
      const { coordinator, line } = await under.openOverLine();
      const other = await under.open();
      const session = await coordinator.session({ ttlMs });
      const revision = await put(coordinator, 'right', '', session.id);
      line.cut();
      await watchUntil(other, 'right', { afterRevision: revision, last: names('right') });
      assert.ok(session.actUntilMs <= clock.boottimeMs(), 'others see it end only after the holder stopped');
      await lost(session.lost);
      assert.ok(session.actUntilMs <= clock.boottimeMs());
      line.heal();
      await assert.rejects(put(coordinator, 'late', '', session.id), fails('sessionLost'));
      const next = await coordinator.session({ ttlMs });
      await put(coordinator, 'right', '', next.id);
    },
  );

  on('requests over a cut line fail in bounded time, and go on when it heals', async (under) => {
    if (!under.openOverLine) return;
    const { coordinator, line } = await under.openOverLine();
    await put(coordinator, 'a', 'one');
    line.cut();
    const fromMs = under.clock.boottimeMs();
    const outcomes = await Promise.allSettled([
      coordinator.range(''),
      put(coordinator, 'b', ''),
      coordinator.session({ ttlMs: under.ttlMs }),
    ]);
    assert.ok(under.clock.boottimeMs() - fromMs < 10_000);
    for (const outcome of outcomes) {
      assert.equal(outcome.status, 'rejected');
      fails('coordinatorUnavailable', 'coordinatorUncertain')(outcome.reason);
    }
    assert.equal(outcomes[0]?.status === 'rejected' && outcomes[0].reason.code, 'coordinatorUnavailable');
    line.heal();
    assert.equal(text((await get(coordinator, 'a'))?.value ?? bytes('')), 'one');
    await put(coordinator, 'c', '');
  });

  on('a watch goes on over a line that was cut, without gap or repetition', async (under) => {
    if (!under.openOverLine) return;
    const { coordinator, line } = await under.openOverLine();
    const writer = await under.open();
    const { revision } = await coordinator.range('');
    const watching = watchUntil(coordinator, 'w/', { afterRevision: revision, last: names('w/end') });
    for (let turn = 0; turn < 12; turn++) {
      if (turn % 4 === 1) line.cut();
      await put(writer, `w/${turn}`, '');
      if (turn % 4 === 2) line.heal();
    }
    line.heal();
    await put(writer, 'w/end', '');
    const keys = (await watching).flatMap(({ changes }) => changes.map(({ key }) => key));
    assert.deepEqual(keys, [...Array.from({ length: 12 }, (_, turn) => `w/${turn}`), 'w/end']);
  });

  on('a watch that was cut off while its history was forgotten gets a snapshot', async (under) => {
    if (!under.openOverLine) return;
    const { coordinator, line } = await under.openOverLine();
    const writer = await under.open();
    const revision = await put(writer, 'w/gone', '');
    const first = Promise.withResolvers<void>();
    const watching = watchUntil(coordinator, 'w/', {
      afterRevision: revision,
      last: (event) => {
        first.resolve();
        return names('w/end')(event);
      },
    });
    await put(writer, 'w/seen', '');
    await first.promise;
    line.cut();
    await writer.transaction({ compares: [], apply: [{ delete: 'w/gone' }, { put: 'w/new', value: bytes('') }] });
    await put(writer, 'w/newer', '');
    await put(writer, 'elsewhere', '');
    await under.compact();
    line.heal();
    await put(writer, 'w/end', '');
    const events = await watching;
    const snapshot = events.findIndex(({ kind }) => kind === 'snapshot');
    assert.ok(snapshot > 0);
    const keys = events.slice(snapshot).flatMap(({ changes }) => changes.map(({ key }) => key));
    assert.deepEqual(keys.toSorted(), ['w/end', 'w/new', 'w/newer', 'w/seen']);
  });

  on(
    'a transaction whose answer was lost is settled: it happened once, or the caller is told that nobody knows',
    async (under) => {
      if (!under.openOverLine) return;
      const { coordinator, line } = await under.openOverLine();
      const other = await under.open();
      let [acknowledged, uncertain, isDone] = [0, 0, false];
      const disturbing = (async () => {
        while (!isDone) {
          line.loseAnswers();
          await under.clock.sleep(150);
          line.heal();
          await under.clock.sleep(60);
        }
        line.heal();
      })();
      const count = async (client: Coordinator, turns: number) => {
        for (let turn = 0; turn < turns; turn++) {
          try {
            await increment(client, 'counter');
            acknowledged++;
          } catch (error) {
            assert.ok(isForebayError(error, 'coordinatorUncertain', 'coordinatorUnavailable'), String(error));
            if (error.code === 'coordinatorUncertain') uncertain++;
          }
        }
      };
      await Promise.all([count(coordinator, 12), count(coordinator, 12), count(other, 30)]);
      isDone = true;
      await disturbing;
      const value = Number(text((await get(other, 'counter'))?.value ?? bytes('')));
      assert.ok(
        value >= acknowledged && value <= acknowledged + uncertain,
        `${acknowledged} + ${uncertain}, not ${value}`,
      );
    },
  );

  on('results of transactions that were settled are those of their own moment', async (under) => {
    if (!under.openOverLine) return;
    const { coordinator, line } = await under.openOverLine();
    const other = await under.open();
    await put(other, 'a', 'before');
    const created = await put(other, 'b', '');
    // what a first transaction needs is there, so that the next ones are sent at once
    await put(coordinator, 'c', '');
    line.loseAnswers();
    const settling = Promise.all([
      coordinator.transaction({
        compares: [{ key: 'mine', target: 'createRevision', equals: 0 }],
        apply: [{ put: 'mine', value: bytes('') }, { read: 'a' }],
      }),
      coordinator.transaction({
        compares: [{ key: 'b', target: 'createRevision', equals: 0 }],
        apply: [{ put: 'b', value: bytes('wrong') }],
        otherwise: [{ read: 'b' }, { put: 'seen', value: bytes('b') }],
      }),
    ]);
    // once it is applied, others go on
    await watchUntil(other, 'mine', { afterRevision: created, last: names('mine') });
    await watchUntil(other, 'seen', { afterRevision: created, last: names('seen') });
    await put(other, 'a', 'after');
    await other.transaction({ compares: [], apply: [{ delete: 'mine' }, { delete: 'b' }] });
    line.heal();
    const [first, second] = await settling;
    assert.ok(first.succeeded);
    assert.equal(text(first.reads[0]?.value ?? bytes('')), 'before');
    assert.ok(!second.succeeded);
    assert.equal(second.reads[0]?.createRevision, created);
  });

  on('S-15: a coordinator that went back in time is refused, for good', async (under) => {
    if (!under.setBack) return;
    const coordinator = await under.open();
    const session = await coordinator.session({ ttlMs: under.ttlMs });
    for (let turn = 0; turn < 30; turn++) await put(coordinator, `k${turn}`, '');
    await under.setBack();
    const told = (error: unknown) => fails('coordinatorRefused')(error) && /went back in time/.test(String(error));
    // the connection itself may have to be found again first
    for (;;) {
      try {
        await coordinator.range('');
        assert.fail('it was trusted');
      } catch (error) {
        if (isForebayError(error, 'coordinatorUnavailable')) continue;
        assert.ok(told(error), String(error));
        break;
      }
    }
    await lost(session.lost);
    await assert.rejects(put(coordinator, 'a', ''), told);
    await assert.rejects(coordinator.session({ ttlMs: under.ttlMs }), told);
    const fresh = await under.open();
    await put(fresh, 'b', '');
  });
}

/** Records over the simulated, the embedded and the real coordinator. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Life, SimClock, SimMachineClock } from '../../sim/sim-clock.ts';
import { NO_COORDINATOR_FAULTS, SimCoordinator } from '../../sim/sim-coordinator.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { Trace } from '../../sim/trace.ts';
import type { CoordinatorUnderTest } from '../../tests/conformance/coordinator.ts';
import { runRecordsConformance } from '../../tests/conformance/records.ts';
import { startEtcd } from '../../tests/servers/etcd.ts';
import { UnsteadyLine } from '../../tests/servers/unsteady-line.ts';
import type { Coordinator } from '../io/coordinator.ts';
import { createRealClock } from '../io/real/clock.ts';
import { openEmbeddedCoordinator } from '../io/real/embedded-coordinator.ts';
import { openEtcdCoordinator } from '../io/real/etcd-coordinator.ts';
import { createRealRandom } from '../io/real/random.ts';

const UNSTEADY = { latencyMs: 5, slowChance: 0.05, slowMs: 2500, lostRequestChance: 0.02, lostAnswerChance: 0.05 };

async function simulated(faults: typeof UNSTEADY): Promise<CoordinatorUnderTest> {
  const random = new SimRandom(11);
  const trace = new Trace();
  const clock = new SimClock(random.fork('clock'), trace);
  const server = new SimCoordinator({ clock, trace, random: random.fork('coordinator'), faults });
  const machine = new SimMachineClock(clock, random.fork('machine'));
  let isClosed = false;
  let opened = 0;
  const tick = (): void => void clock.schedule(1, tick);
  tick();
  const running = clock.run(() => isClosed);
  const attach = () => {
    const node = `node-${opened++}`;
    const life = new Life(node);
    return { node, coordinator: server.attach({ life, clock: machine.attach(life) }) };
  };
  return {
    clock: machine.attach(new Life('test')),
    ttlMs: 10_000,
    open: async () => attach().coordinator,
    openOverLine: async () => {
      const { node, coordinator } = attach();
      const line = {
        cut: () => server.cut(node, 3600_000),
        loseAnswers: () => server.loseAnswers(node, true),
        heal: () => server.heal(),
      };
      return { coordinator, line };
    },
    compact: async () => server.compact(),
    close: async () => {
      isClosed = true;
      await running;
    },
  };
}

runRecordsConformance('records over a simulated coordinator', () => simulated(NO_COORDINATOR_FAULTS));
runRecordsConformance('records over an unsteady coordinator', () => simulated(UNSTEADY));

runRecordsConformance('records over an embedded coordinator', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-records-'));
  const clock = createRealClock();
  const opened: Coordinator[] = [];
  return {
    clock,
    ttlMs: 1500,
    async open() {
      const coordinator = await openEmbeddedCoordinator({ path: join(directory, 'coordinator.sqlite'), clock });
      opened.push(coordinator);
      return coordinator;
    },
    compact: async () => undefined,
    async close() {
      await Promise.all(opened.map((coordinator) => coordinator.close()));
      rmSync(directory, { recursive: true, force: true });
    },
  };
});

runRecordsConformance('records over etcd', async (t) => {
  const [server] = (await startEtcd(t)) ?? [];
  if (server === undefined) return undefined;
  const clock = createRealClock();
  const opened: Coordinator[] = [];
  const lines: UnsteadyLine[] = [];
  const open = async (port: number): Promise<Coordinator> => {
    const endpoint = new URL(server.endpoint);
    endpoint.port = String(port);
    const options = { cluster: 'test', clock, random: createRealRandom(), endpoints: [endpoint.origin] };
    const coordinator = await openEtcdCoordinator(options);
    opened.push(coordinator);
    return coordinator;
  };
  return {
    clock,
    ttlMs: 2000,
    open: () => open(server.port),
    openOverLine: async () => {
      const line = await UnsteadyLine.to(server.port);
      lines.push(line);
      return { coordinator: await open(line.port), line };
    },
    compact: () => server.compact(),
    async close() {
      await Promise.all(opened.map((coordinator) => coordinator.close()));
      await Promise.all(lines.map((line) => line.close()));
    },
  };
});

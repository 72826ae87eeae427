/** The simulated coordinator does what every Coordinator does. */
import { runCoordinatorConformance } from '../tests/conformance/coordinator.ts';
import { Life, SimClock, SimMachineClock } from './sim-clock.ts';
import { type CoordinatorFaults, NO_COORDINATOR_FAULTS, SimCoordinator } from './sim-coordinator.ts';
import { SimRandom } from './sim-random.ts';
import { Trace } from './trace.ts';

const UNSTEADY: CoordinatorFaults = {
  latencyMs: 5,
  slowChance: 0.05,
  slowMs: 2500,
  lostRequestChance: 0.02,
  lostAnswerChance: 0.02,
};

for (const [name, faults] of [
  ['simulated coordinator', NO_COORDINATOR_FAULTS],
  ['unsteady simulated coordinator', UNSTEADY],
] as const) {
  runCoordinatorConformance(name, async () => {
    const random = new SimRandom(7);
    const trace = new Trace();
    const clock = new SimClock(random.fork('clock'), trace);
    const server = new SimCoordinator({ clock, trace, random: random.fork('coordinator'), faults });
    const machine = new SimMachineClock(clock, random.fork('machine'));
    let isClosed = false;
    let opened = 0;
    // virtual time goes on as long as the test does
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
      setBack: async () => server.setBack(20),
      close: async () => {
        isClosed = true;
        await running;
      },
    };
  });
}

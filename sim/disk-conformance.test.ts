/** The simulated disk does what every Disk does. */
import { runDiskConformance } from '../tests/conformance/disk.ts';
import { Life, SimClock, SimMachineClock } from './sim-clock.ts';
import { SimDisk } from './sim-disk.ts';
import { SimRandom } from './sim-random.ts';
import { Trace } from './trace.ts';

for (const canClone of [true, false]) {
  runDiskConformance(`simulated disk ${canClone ? 'with' : 'without'} clones and holes`, async () => {
    const random = new SimRandom(1);
    const trace = new Trace();
    const clock = new SimClock(random.fork('clock'), trace);
    const machine = new SimMachineClock(clock, random.fork('machine'));
    const faults = { latencyMs: 0.1, bytesPerMs: 1 << 20, slowChance: 0, slowMs: 0, errorChance: 0 };
    const base = { clock, machine, trace, random: random.fork('disk'), faults };
    const bounds = { capacityBytes: 256 << 20, deadlineMs: Number.POSITIVE_INFINITY };
    const disk = new SimDisk({ ...base, ...bounds, canPunch: canClone, canClone });
    const io = disk.attach(new Life('test'));
    let isClosed = false;
    // virtual time goes on as long as the test does
    const tick = (): void => void clock.schedule(1, tick);
    tick();
    const running = clock.run(() => isClosed);
    await io.makeDirectory('/empty');
    return {
      disk: io,
      at: (name) => (name === '' ? '/empty' : `/empty/${name}`),
      close: async () => {
        isClosed = true;
        await running;
      },
    };
  });
}

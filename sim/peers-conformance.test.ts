/** The simulated network does what every peer transport does. */
import { runPeersConformance } from '../tests/conformance/peers.ts';
import { Life, SimClock, SimMachineClock } from './sim-clock.ts';
import { SimDisk } from './sim-disk.ts';
import { SimNetwork } from './sim-network.ts';
import { SimRandom } from './sim-random.ts';
import { Trace } from './trace.ts';

const MIB = 1 << 20;
const SECRET = Buffer.from('a secret of the cluster');

runPeersConformance('simulated network', async (_t, body) => {
  const random = new SimRandom(1);
  const trace = new Trace();
  const clock = new SimClock(random.fork('clock'), trace);
  const network = new SimNetwork({ clock, random: random.fork('network'), trace });
  const machine = new SimMachineClock(clock, random.fork('machine'));
  const faults = { latencyMs: 0.1, bytesPerMs: MIB, slowChance: 0, slowMs: 0, errorChance: 0 };
  const bounds = { capacityBytes: 1 << 30, deadlineMs: Number.POSITIVE_INFINITY, canPunch: true, canClone: true };
  const disk = new SimDisk({ clock, machine, trace, random: random.fork('disk'), faults, ...bounds });
  const io = disk.attach(new Life('test'));
  let [files, isOver] = [0, false];
  // virtual time goes on as long as the test does
  const tick = (): void => void clock.schedule(1, tick);
  tick();
  const running = clock.run(() => isOver);
  try {
    await body({
      start: (node, service, options = {}) => {
        const name = `host-of-${node}`;
        const host = network.host(name) ?? network.addHost(name, { upBytesPerMs: MIB, downBytesPerMs: MIB });
        return network.attach(
          host,
          new Life(node),
        )({
          node,
          service,
          cluster: 'test',
          address: { host: '127.0.0.1', port: 0 },
          secrets: () => [SECRET],
          transport: 'plain',
          onRefused: () => {},
          ...options,
        });
      },
      fileOf: async (bytes) => {
        const file = await io.open(`/file-${files++}`, { create: true, write: true });
        await file.write(0, bytes);
        return file;
      },
    });
  } finally {
    isOver = true;
    await running;
  }
});

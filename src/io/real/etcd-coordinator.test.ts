/** etcd does what every Coordinator does, plain, with users, with TLS; and what only a server can get wrong. */
import type { TestContext } from 'node:test';
import { type CoordinatorUnderTest, runCoordinatorConformance } from '../../../tests/conformance/coordinator.ts';
import { type EtcdServer, startEtcd } from '../../../tests/servers/etcd.ts';
import { UnsteadyLine } from '../../../tests/servers/unsteady-line.ts';
import type { Coordinator } from '../coordinator.ts';
import { createRealClock } from './clock.ts';
import { type EtcdOptions, openEtcdCoordinator } from './etcd-coordinator.ts';
import { createRealRandom } from './random.ts';

const clock = createRealClock();
const random = createRealRandom();

function underTest(server: EtcdServer, access: Partial<EtcdOptions> = {}): CoordinatorUnderTest {
  const opened: Coordinator[] = [];
  const lines: UnsteadyLine[] = [];
  const open = async (port: number) => {
    const endpoint = new URL(server.endpoint);
    endpoint.port = String(port);
    const endpoints = [endpoint.origin];
    const coordinator = await openEtcdCoordinator({ endpoints, cluster: 'test', clock, random, ...access });
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
    setBack: () => server.restart({ empty: true }),
    close: async () => {
      await Promise.all(opened.map((coordinator) => coordinator.close()));
      await Promise.all(lines.map((line) => line.close()));
    },
  };
}

async function plain(t: TestContext): Promise<CoordinatorUnderTest | undefined> {
  const [server] = (await startEtcd(t)) ?? [];
  return server && underTest(server);
}

runCoordinatorConformance('etcd', plain);

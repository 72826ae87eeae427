/** What `forebay doctor` asks of the cluster: its secret, its coordinator, and the way to each member. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { parsePublished } from '../cluster/roster.ts';
import { type Address, formatAddress } from '../core/address.ts';
import { isForebayError } from '../core/errors.ts';
import { createRealClock } from '../io/real/clock.ts';
import { openCoordinator } from '../io/real/open-coordinator.ts';
import { createRealRandom } from '../io/real/random.ts';
import { coordinatorOptions } from './cluster-opener.ts';
import { openSecretFile } from './cluster-secret.ts';
import type { Config } from './config.ts';
import { isInMemory } from './doctor-disk.ts';
import { diagnoseWrites } from './doctor-writes.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

const CONNECT_MS = 3000;

/** Of a node alone only what its writes lack. */
export async function diagnoseCluster(config: Config): Promise<Finding[]> {
  const { zone = 'default' } = config.node;
  const isMemory = await isInMemory(config.node.cacheDir);
  if (config.cluster.coordinator === undefined) return diagnoseWrites(config, { zones: [zone], isMemory });
  return [secret(config), ...(await coordinator(config, config.cluster.coordinator, isMemory))];
}

function secret({ cluster }: Config): Finding {
  const path = cluster.secretFile ?? '';
  try {
    const file = openSecretFile(path, () => 0);
    const count = file.secrets().length;
    if (file.isOpenToOthers)
      return warn('cluster secret', `others of this machine may read ${path}`, `Run: chmod 600 ${path}`);
    return ok('cluster secret', `${path} holds ${count === 1 ? 'one secret' : `${count} secrets, the first signs`}`);
  } catch (error) {
    return fail('cluster secret', (error as Error).message, 'Give every node of the cluster the same file.');
  }
}

async function coordinator(config: Config, url: string, isMemory: boolean): Promise<Finding[]> {
  try {
    const clock = createRealClock({ ffi: config.node.ffi });
    const opened = await openCoordinator(url, coordinatorOptions(config, { clock, random: createRealRandom() }));
    try {
      const { entries } = await opened.range('members/', { signal: AbortSignal.timeout(CONNECT_MS) });
      const members = entries.flatMap(({ value }) => memberOf(value));
      const others = members.filter(({ node }) => node !== config.node.name);
      const ways = await Promise.all(others.map(way));
      const { zone: own = 'default' } = config.node;
      const writes = diagnoseWrites(config, { zones: [own, ...others.map(({ zone }) => zone)], isMemory });
      return [ok('coordinator', `${url} answers; ${members.length} members`), ...ways, ...writes];
    } finally {
      await opened.close();
    }
  } catch (error) {
    const refused = isForebayError(error, 'coordinatorRefused');
    return [
      fail(
        'coordinator',
        `${url}: ${(error as Error).message}`,
        refused
          ? 'Check cluster.coordinatorUser and the files of password and certificates.'
          : 'Check the address, and that etcd runs there.',
      ),
    ];
  }
}

function memberOf(value: Uint8Array): { node: string; zone: string; address: Address }[] {
  const published = parsePublished(value);
  if (published === undefined) return [];
  const { node, zone, address } = published.member;
  return [{ node, zone, address }];
}

async function way({ node, address }: { node: string; address: Address }): Promise<Finding> {
  const socket = connect({ host: address.host, port: address.port });
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(CONNECT_MS) });
    return ok(`member ${node}`, `${formatAddress(address)} can be reached`);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? 'no answer';
    return fail(
      `member ${node}`,
      `${formatAddress(address)}: ${why}`,
      'Open the way between the nodes, or correct node.advertise there.',
    );
  } finally {
    socket.destroy();
  }
}

/** Opens what a node of a cluster needs of the world: its coordinator, the transport to its peers, the cluster's secret. */
import { readFileSync } from 'node:fs';
import { assert } from '../core/assert.ts';
import { ForebayError } from '../core/errors.ts';
import type { Io } from '../io/io.ts';
import { openCoordinator } from '../io/real/open-coordinator.ts';
import { createRealPeers, type RealPeers } from '../io/real/peers.ts';
import type { Emit } from '../observe/events.ts';
import { openSecretFile } from './cluster-secret.ts';
import type { Config } from './config.ts';
import type { NodeCluster } from './node.ts';

export interface OpenedCluster extends NodeCluster {
  /** Ends the transport's threads; after the node is closed. */
  close(): Promise<void>;
}

/** For a node whose configuration names a coordinator. Throws config, coordinatorUnavailable or coordinatorRefused. */
export async function openCluster(config: Config, { io, emit }: { io: Io; emit: Emit }): Promise<OpenedCluster> {
  const { cluster, node } = config;
  assert(cluster.coordinator, 'a cluster has a coordinator');
  const secrets = secretsOf(cluster.secretFile, { io, emit });
  const peers: RealPeers = createRealPeers({
    network: io.network,
    clock: io.clock,
    random: io.random,
    ffi: node.ffi,
  });
  const coordinator = await openCoordinator(cluster.coordinator, coordinatorOptions(config, io));
  return {
    coordinator,
    listenPeers: peers.listen,
    secrets,
    close: () => peers.close(),
  };
}

/** Without a file the node is a cluster of itself, whose secret nobody else needs. */
function secretsOf(path: string | undefined, { io, emit }: { io: Io; emit: Emit }): () => readonly Uint8Array[] {
  if (path === undefined) {
    const own = [io.random.bytes(32)];
    return () => own;
  }
  const file = openSecretFile(path, () => io.clock.boottimeMs());
  if (file.isOpenToOthers) emit({ kind: 'node.warning', message: `others may read ${path}; run: chmod 600 ${path}` });
  return () => file.secrets();
}

/** Throws config when a file that is named cannot be read. */
export function coordinatorOptions({ cluster, node }: Config, { clock, random }: Pick<Io, 'clock' | 'random'>) {
  return {
    cluster: cluster.name,
    clock,
    random,
    ffi: node.ffi,
    user: cluster.coordinatorUser,
    password: textOf('coordinatorPasswordFile', cluster.coordinatorPasswordFile)?.trim(),
    ca: textOf('coordinatorCaFile', cluster.coordinatorCaFile),
    certificate: textOf('coordinatorCertificateFile', cluster.coordinatorCertificateFile),
    key: textOf('coordinatorKeyFile', cluster.coordinatorKeyFile),
  };
}

function textOf(key: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new ForebayError('config', `cluster.${key} ${path} cannot be read (${code})`, { cause: error });
  }
}

/**
 * What the cluster's secret becomes (DESIGN.md section 6): a pre-shared key for TLS and the name by which a connection
 * says which key it uses. Both depend on the cluster's name, so that two clusters with one secret do not meet.
 */
import { createHash, hkdfSync } from 'node:crypto';
import { ForebayError } from '../../core/errors.ts';

export interface PeerKey {
  /** Travels in clear: says the cluster and which secret, and nothing about either. */
  readonly identity: string;
  readonly key: Buffer;
}

const KEY_BYTES = 32;
const IDENTITY = /^forebay-1\.([0-9a-f]{16})\.([0-9a-f]{16})$/;

/** Of each secret, by cluster: deriving costs as much as answering a small message, and every message asks. */
const derived = new WeakMap<Uint8Array, Map<string, PeerKey>>();

/** The bytes of `secret` do not change: another secret is another array. */
export function peerKeyOf(secret: Uint8Array, cluster: string): PeerKey {
  const ofSecret = derived.get(secret) ?? new Map<string, PeerKey>();
  derived.set(secret, ofSecret);
  const known = ofSecret.get(cluster) ?? derivePeerKey(secret, cluster);
  ofSecret.set(cluster, known);
  return known;
}

function derivePeerKey(secret: Uint8Array, cluster: string): PeerKey {
  const derive = (what: string, length: number) =>
    Buffer.from(hkdfSync('sha256', secret, new Uint8Array(0), `forebay peer ${what} 1\0${cluster}`, length));
  const name = derive('name', 8).toString('hex');
  return { identity: `forebay-1.${clusterMark(cluster)}.${name}`, key: derive('key', KEY_BYTES) };
}

/** The key that signs: the first secret's. Throws `config` where there is none. */
export function signingKey(secrets: readonly Uint8Array[], cluster: string): PeerKey {
  const first = secrets[0];
  if (first === undefined || first.length === 0)
    throw new ForebayError('config', 'the cluster has no secret: set cluster.secretFile');
  return peerKeyOf(first, cluster);
}

/** The key that an identity names among those of `secrets`, or why there is none. */
export function keyNamed(
  identity: string,
  secrets: readonly Uint8Array[],
  cluster: string,
): PeerKey | 'secret' | 'otherCluster' | 'malformed' {
  const match = IDENTITY.exec(identity);
  if (!match) return 'malformed';
  for (const secret of secrets) {
    if (secret.length === 0) continue;
    const key = peerKeyOf(secret, cluster);
    if (key.identity === identity) return key;
  }
  return match[1] === clusterMark(cluster) ? 'secret' : 'otherCluster';
}

function clusterMark(cluster: string): string {
  return createHash('sha256').update(`forebay cluster\0${cluster}`).digest('hex').slice(0, 16);
}

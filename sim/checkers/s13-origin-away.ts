/**
 * S-13 across nodes: with the origin away, what the cluster holds is served, by every node, within `staleIfError`.
 *
 * An object is expected once every byte of it is on one live node and its current version was opened through the
 * cluster by the node that is asked: facts that no node remembers cannot be had from anybody.
 */
import { blockCount } from '../../src/core/chunk.ts';
import { originContentId } from '../../src/core/ids.ts';
import type { Volume } from '../../src/core/volume.ts';
import type { SimVersion } from '../sim-origin.ts';
import type { Findings } from './checker.ts';
import type { Holder } from './s11-cluster-once.ts';

export class OriginAway {
  readonly #findings: Findings;
  readonly #volume: Volume;

  constructor(findings: Findings, volume: Volume) {
    this.#findings = findings;
    this.#volume = volume;
  }

  /** Whether the cluster holds all of a version. */
  isHeld(version: SimVersion, holders: readonly Holder[]): boolean {
    const content = originContentId({ volume: this.#volume.name, key: version.key, etag: version.etag });
    for (let block = 0; block < blockCount(version.sizeBytes); block++) {
      if (!holders.some((holder) => holder.holds(content, block))) return false;
    }
    return true;
  }

  failed(node: string, version: SimVersion, error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    this.#findings.add(
      'S-13',
      `with the origin away, ${node} does not serve ${version.key} ${version.etag}, which the cluster holds: ${text}`,
    );
  }
}

/**
 * S-3 at the instant of an acknowledgement: at `replicated` as many nodes as the volume's `replicas` have it by the records
 * (or the origin has it, or the answer says that it has less), at `origin` the origin shows it or what replaced it.
 */
import type { Level, Volume } from '../../src/core/volume.ts';
import type { Written } from '../../src/write/writer.ts';
import type { WriteOperation } from '../write-history.ts';
import type { Findings } from './checker.ts';
import { textOf } from './s2-linearizable.ts';
import type { Copies } from './s3-copies.ts';

const RANKS: Readonly<Record<Level, number>> = { local: 0, replicated: 1, origin: 2 };

export interface AckPlaces {
  readonly findings: Findings;
  readonly copies: Copies;
  readonly volumeOf: (name: string) => Volume;
  /** Whether the origin shows the write, or has, or what may have come after it. */
  readonly hasShown: (write: WriteOperation) => boolean;
}

export class AckLevels {
  readonly #places: AckPlaces;

  constructor(places: AckPlaces) {
    this.#places = places;
  }

  acknowledged(write: WriteOperation, written: Written | undefined): void {
    const { volumeOf, hasShown, findings, copies } = this.#places;
    const { writes } = volumeOf(write.volume);
    if (!writes) return;
    const asked = write.level ?? writes.ack;
    // conditional writes wait for the origin; what was degraded is said, of a checkpoint when its objects were put
    const isDegradable = write.group !== undefined && writes.onDegraded === 'local';
    const level = written?.level ?? (isDegradable ? 'local' : write.group ? 'replicated' : asked);
    if (written && writes.replicas > 1 && RANKS[level] < RANKS[asked] && writes.onDegraded !== 'local') {
      findings.add('S-3', `${textOf(write)} of ${write.key} was acknowledged at ${level}, below ${asked}`);
    }
    const isDrained = copies.wasDrained(write.number);
    // the level of a rename is that of what it brings
    if (write.kind === 'delete' && write.how !== 'delete') return;
    if (level === 'origin' && !isDrained && !hasShown(write)) {
      findings.add('S-3', `${textOf(write)} of ${write.key} was acknowledged at origin, which does not show it`);
    }
    // a checkpoint's commit says no level: with `onDegraded = "local"` its objects may have fewer copies, and say so
    const maySayLess = written === undefined && writes.onDegraded === 'local';
    const isShort = !isDrained && !maySayLess && copies.mostOf(write.number) < writes.replicas;
    if (level === 'replicated' && write.kind === 'put' && isShort) {
      const most = copies.mostOf(write.number);
      findings.add('S-3', `${textOf(write)} of ${write.key} was acknowledged as replicated, but ${most} nodes have it`);
    }
  }
}

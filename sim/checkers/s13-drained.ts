/**
 * S-13: once nothing is wrong any more, the drain resumes by itself: everything committed reaches the origin, or is shown
 * as what cannot: in conflict with a change of someone else, lost with all its copies, or held back behind such a one.
 */
import type { Volume } from '../../src/core/volume.ts';
import { type RecordWatch, undrained, type WatchedRecord } from '../record-watch.ts';
import type { Findings } from './checker.ts';
import type { Copies } from './s3-copies.ts';
import { directoryOf } from './s7-origin-watch.ts';

export interface DrainedPlaces {
  readonly findings: Findings;
  readonly records: RecordWatch;
  readonly copies: Copies;
  readonly volumes: readonly Volume[];
  readonly isOwn: (key: string) => boolean;
}

export class Drained {
  readonly #places: DrainedPlaces;

  constructor(places: DrainedPlaces) {
    this.#places = places;
  }

  /** What is shown as refused by the origin, which refused credentials for a while: it is tried again. */
  refused(): WatchedRecord[] {
    return this.#places.records.all().filter(({ record }) => undrained(record)?.trouble?.kind === 'refused');
  }

  /** What has yet to reach the origin and is not shown as what cannot. */
  pending(): WatchedRecord[] {
    const left = this.#places.records.all().filter(({ record }) => undrained(record));
    const troubled = left.filter(({ record }) => undrained(record)?.trouble);
    return left.filter((each) => !undrained(each.record)?.trouble && !this.#isHeld(each, troubled));
  }

  #isHeld({ volume, key }: WatchedRecord, troubled: readonly WatchedRecord[]): boolean {
    const policy = this.#places.volumes.find(({ name }) => name === volume)?.writes;
    if (policy?.onConflict === 'skip' || policy?.drainOrder === 'none') return false;
    return troubled.some((each) => each.volume === volume && each.key.startsWith(directoryOf(key)));
  }

  /** To be called when all had time to drain. */
  check(): void {
    const { findings, records } = this.#places;
    const pending = this.pending();
    const [first] = pending;
    if (first) {
      const { volume, key, record } = first;
      const text = `${volume}/${key} and ${pending.length - 1} more have not reached the origin`;
      findings.add('S-13', `${text}: ${JSON.stringify(record.current)}`);
    }
    for (const each of records.all()) this.#trouble(each);
  }

  /** Trouble that nothing explains. */
  #trouble({ volume, key, record }: WatchedRecord): void {
    const { findings, copies, isOwn } = this.#places;
    const current = undrained(record);
    const { kind, message } = current?.trouble ?? {};
    if (kind === undefined) return;
    if (kind === 'conflict' && isOwn(key)) {
      findings.add('S-8', `${volume}/${key} is shown as a conflict, but nobody else changed it: ${message}`);
    } else if (kind === 'refused') {
      findings.add('S-13', `${volume}/${key} is shown as refused by an origin that refuses nothing: ${message}`);
    } else if (kind === 'lost' && !(current?.kind === 'dirty' && copies.isContentLost(current.content))) {
      findings.add('S-3', `${volume}/${key} is shown as lost, but copies of it are there: ${message}`);
    }
  }
}

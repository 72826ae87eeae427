/**
 * S-1: one open returns bytes of one version, never a mixture, never zeros, without gaps. The version is the one that
 * the open stated; it must have existed with that size.
 */
import type { Range } from '../../src/core/range.ts';
import type { SimOrigin } from '../sim-origin.ts';
import type { Checker, Findings, OpenSeen } from './checker.ts';
import { wrongBytes } from './wrong-bytes.ts';

export class OneVersion implements Checker {
  readonly #origin: SimOrigin;
  readonly #findings: Findings;

  constructor(origin: SimOrigin, findings: Findings) {
    this.#origin = origin;
    this.#findings = findings;
  }

  opened(seen: OpenSeen): void {
    const version = this.#origin.version(seen.key, seen.fact.etag);
    if (!version) {
      this.#findings.add('S-1', `${seen.key} was opened as ${seen.fact.etag}, which never existed`);
    } else if (version.sizeBytes !== seen.fact.sizeBytes) {
      this.#findings.add(
        'S-1',
        `${seen.key} ${version.etag} has ${version.sizeBytes} bytes, not ${seen.fact.sizeBytes}`,
      );
    }
  }

  bytes(seen: OpenSeen, at: number, bytes: Uint8Array): void {
    const version = this.#origin.version(seen.key, seen.fact.etag);
    const wrong = version && wrongBytes(this.#origin, version, at, bytes);
    if (wrong?.kind !== 'zeros' && wrong?.kind !== 'version') return;
    this.#findings.add('S-1', `${seen.key} ${seen.fact.etag} at byte ${wrong.at}: ${wrong.text}`);
  }

  readDone(seen: OpenSeen, range: Range): void {
    if (range.end <= seen.fact.sizeBytes) return;
    this.#findings.add('S-1', `${seen.key} gave ${range.end} bytes of ${seen.fact.sizeBytes}`);
  }
}

/**
 * S-9: bytes that nobody wrote are never served: rotten or torn ones are found, dropped and had from elsewhere. With
 * `verify = "always"` nothing leaves by a lent file range.
 *
 * The scenario lets bytes rot under a running machine only where `verify = "always"`; elsewhere only while the machine
 * is down, for then every block is checked before its first use.
 */
import type { Volume } from '../../src/core/volume.ts';
import type { SimOrigin } from '../sim-origin.ts';
import type { Checker, Findings, OpenSeen } from './checker.ts';
import { wrongBytes } from './wrong-bytes.ts';

export class VerifiedBytes implements Checker {
  readonly #origin: SimOrigin;
  readonly #findings: Findings;
  readonly #volume: Volume;

  constructor(origin: SimOrigin, findings: Findings, volume: Volume) {
    this.#origin = origin;
    this.#findings = findings;
    this.#volume = volume;
  }

  bytes(seen: OpenSeen, at: number, bytes: Uint8Array, from: 'file' | 'memory'): void {
    if (from === 'file' && this.#volume.verify === 'always') {
      this.#findings.add('S-9', `${seen.key} left unverified as a file range in a volume with verify = "always"`);
    }
    const version = this.#origin.version(seen.key, seen.fact.etag);
    const wrong = version && wrongBytes(this.#origin, version, at, bytes);
    if (wrong?.kind !== 'flip' && wrong?.kind !== 'other') return;
    this.#findings.add('S-9', `${seen.key} ${seen.fact.etag} at byte ${wrong.at}: ${wrong.text}`);
  }
}

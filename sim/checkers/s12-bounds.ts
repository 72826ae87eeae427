/**
 * S-12: the disk holds no more than the capacity and a named slack, and requests to the origin are bounded. The figures
 * are taken at every change, not sampled.
 */
import { BLOCK_SIZE_BYTES } from '../../src/core/chunk.ts';
import { fillsInFlightMax } from '../../src/core/limits.ts';
import type { SimDisk } from '../sim-disk.ts';
import type { Findings } from './checker.ts';

/** What is beside the contents: the journal with its snapshots, the lock, the format. */
const JOURNAL_SLACK_BYTES = 4 * BLOCK_SIZE_BYTES;

export class Bounds {
  readonly #findings: Findings;
  readonly #limitBytes: number;
  readonly #requestsMax: number;

  /** `clients` may each have one request to the origin besides the fills: HEAD, LIST or a read past a full disk. */
  constructor(findings: Findings, bounds: { capacityBytes: number; clients: number }) {
    this.#findings = findings;
    this.#limitBytes = bounds.capacityBytes + JOURNAL_SLACK_BYTES;
    this.#requestsMax = fillsInFlightMax + bounds.clients;
  }

  disk(disk: Pick<SimDisk, 'usedMaxBytes'>): void {
    if (disk.usedMaxBytes <= this.#limitBytes) return;
    this.#findings.add('S-12', `${disk.usedMaxBytes} bytes were on the disk, ${this.#limitBytes} are allowed`);
  }

  requests(open: number): void {
    if (open <= this.#requestsMax) return;
    this.#findings.add('S-12', `${open} requests to the origin at once, ${this.#requestsMax} are allowed`);
  }
}

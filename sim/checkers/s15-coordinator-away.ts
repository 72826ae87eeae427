/** S-15: with the coordinator away, for however long, reads go on; when it is back, the cluster heals by itself. */
import type { Findings } from './checker.ts';

export class CoordinatorAway {
  readonly #findings: Findings;

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  failed(node: string, key: string, awayMs: number, error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    this.#findings.add('S-15', `${awayMs} ms after the coordinator went away, ${node} does not serve ${key}: ${text}`);
  }

  slow(node: string, key: string, tookMs: number): void {
    this.#findings.add('S-15', `with the coordinator away, ${node} took ${tookMs} ms to serve ${key}`);
  }
}

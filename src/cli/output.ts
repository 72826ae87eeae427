/** What commands print: JSON where asked, else lines and tables; progress in place on a terminal, now and then elsewhere. */
import { writeSync } from 'node:fs';
import type { Failure } from './failure.ts';

const PROGRESS_TERMINAL_MS = 100;
const PROGRESS_PLAIN_MS = 5000;

export class Output {
  readonly json: boolean;
  readonly #progressEveryMs: number;
  #progressAtMs = 0;
  #progressShown = false;

  constructor(options: { json: boolean }) {
    this.json = options.json;
    this.#progressEveryMs = process.stderr.isTTY ? PROGRESS_TERMINAL_MS : PROGRESS_PLAIN_MS;
    this.#progressAtMs = process.stderr.isTTY ? 0 : performance.now();
  }

  line(text: string): void {
    this.#clear();
    process.stdout.write(`${text}\n`);
  }

  object(value: unknown): void {
    this.line(JSON.stringify(value));
  }

  /** Columns as wide as their widest cell; columns named in `right` are aligned to the right. */
  table(heads: readonly string[], rows: readonly (readonly string[])[], right: readonly string[] = []): void {
    const widths = heads.map((head, column) => Math.max(head.length, ...rows.map((row) => (row[column] ?? '').length)));
    for (const row of [heads, ...rows]) {
      const cells = heads.map((head, column) => {
        const cell = row[column] ?? '';
        const width = widths[column] as number;
        return right.includes(head) ? cell.padStart(width) : cell.padEnd(width);
      });
      this.line(cells.join('  ').trimEnd());
    }
  }

  /** Shows where long work is; shows nothing when it was called a moment ago, or with `--json`. */
  progress(text: () => string): void {
    const nowMs = performance.now();
    if (this.json || nowMs - this.#progressAtMs < this.#progressEveryMs) return;
    this.#progressAtMs = nowMs;
    if (process.stderr.isTTY) {
      process.stderr.write(`\r\u001b[K${text().slice(0, (process.stderr.columns ?? 80) - 1)}`);
      this.#progressShown = true;
    } else {
      process.stderr.write(`${text()}\n`);
    }
  }

  fail(failure: Failure): void {
    this.#clear();
    if (this.json) {
      this.object({ error: { code: failure.code ?? 'failed', message: failure.message, hint: failure.hint ?? '' } });
      return;
    }
    const text = failure.message.split('\n').map((line) => `forebay: ${line}\n`);
    // Written at once: the process may be about to end.
    writeSync(2, `${text.join('')}${failure.hint ? `  ${failure.hint}\n` : ''}`);
  }

  #clear(): void {
    if (!this.#progressShown) return;
    process.stderr.write('\r\u001b[K');
    this.#progressShown = false;
  }
}

/** Text of keys for a terminal: control characters are shown, not obeyed. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) => {
    const code = (character.codePointAt(0) as number).toString(16);
    return `\\u{${code}}`;
  });
}

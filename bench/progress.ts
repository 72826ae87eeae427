/** How far a long run is: one line that is overwritten on a terminal, plain lines elsewhere. Goes to standard error, results to standard output. */
import { shown } from './result.ts';

export class Progress {
  readonly #stream: NodeJS.WriteStream;
  readonly #fromMs = performance.now();

  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream;
  }

  /** What is under way; `done` of `total` overwrites itself on a terminal and is left out elsewhere. */
  say(what: string, done?: number, total?: number): void {
    const seconds = `${Math.round((performance.now() - this.#fromMs) / 1000)} s`.padStart(6);
    if (done === undefined || total === undefined) this.#line(`${seconds}  ${what}`, true);
    else if (this.#stream.isTTY) this.#line(`${seconds}  ${what} ${shown(done)}/${shown(total)}`, false);
  }

  /** Leaves the terminal's line empty. */
  clear(): void {
    if (this.#stream.isTTY) this.#stream.write('\r\u001b[K');
  }

  #line(line: string, stays: boolean): void {
    if (!this.#stream.isTTY) this.#stream.write(`${line}\n`);
    else this.#stream.write(`\r\u001b[K${line.slice(0, this.#stream.columns || 80)}${stays ? '\n' : ''}`);
  }
}

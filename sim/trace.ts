/**
 * What happened in a run, in order, as one hash: every event with its virtual time, every io operation when it was
 * asked for and when it was answered, every event that the code under test emits. Two runs of one seed have one hash.
 */
export class Trace {
  #low = 0x811c9dc5;
  #high = 0x9747b28c;
  /** Virtual milliseconds now; set by the clock. */
  nowMs = 0;
  /** Where lines go when somebody wants to read them. */
  readonly #print: ((line: string) => void) | undefined;
  notes = 0;

  constructor(print?: (line: string) => void) {
    this.#print = print;
  }

  #mix(word: number): void {
    this.#low = Math.imul(this.#low ^ word, 0x01000193);
    this.#low ^= this.#low >>> 15;
    this.#high = Math.imul(this.#high ^ word, 0x85ebca6b);
    this.#high ^= this.#high >>> 13;
  }

  #number(value: number): void {
    const scaled = Math.round(value * 1024);
    this.#mix(scaled | 0);
    this.#mix(Math.floor(scaled / 0x1_0000_0000) | 0);
  }

  note(text: string, ...numbers: readonly number[]): void {
    this.notes++;
    this.#number(this.nowMs);
    for (let i = 0; i < text.length; i++) this.#mix(text.charCodeAt(i));
    for (const value of numbers) this.#number(value);
    this.#print?.(`${this.nowMs.toFixed(3).padStart(12)} ${text} ${numbers.join(' ')}`);
  }

  /** The hash so far: 16 hex digits. */
  hash(): string {
    const hex = (word: number) => (word >>> 0).toString(16).padStart(8, '0');
    return hex(this.#high) + hex(this.#low);
  }
}

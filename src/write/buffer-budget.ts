/**
 * Memory of bodies on their way to an origin. Buffers of part size are used again: fresh memory costs more than the
 * copy into it. First come first served; a body larger than the whole budget is the caller's mistake.
 */
import { assert } from '../core/assert.ts';
import { abortReason } from '../core/errors.ts';
import {
  putSingleMaxBytes,
  writeMemoryMaxBytes,
  writeSmallMaxBytes,
  writeSmallMemoryMaxBytes,
} from '../core/limits.ts';

export interface HeldBuffer {
  readonly bytes: Uint8Array;
  /** Gives the memory back, exactly once; `reusable` when nobody can still be reading it. */
  release(reusable: boolean): void;
}

/** Buffers of part size kept for the next part. */
const KEPT_MAX = 4;

export class BufferBudget {
  readonly #large = new Share(writeMemoryMaxBytes);
  readonly #small = new Share(writeSmallMemoryMaxBytes);
  readonly #kept: Uint8Array[] = [];

  async take(lengthBytes: number, signal: AbortSignal): Promise<HeldBuffer> {
    const share = lengthBytes <= writeSmallMaxBytes ? this.#small : this.#large;
    await share.take(lengthBytes, signal);
    const whole = lengthBytes === putSingleMaxBytes ? this.#kept.pop() : undefined;
    const bytes = whole ?? Buffer.allocUnsafeSlow(lengthBytes);
    let isHeld = true;
    return {
      bytes,
      release: (reusable) => {
        assert(isHeld, 'a buffer is released once');
        isHeld = false;
        if (reusable && lengthBytes === putSingleMaxBytes && this.#kept.length < KEPT_MAX) this.#kept.push(bytes);
        share.give(lengthBytes);
      },
    };
  }
}

class Share {
  readonly #totalBytes: number;
  #freeBytes: number;
  readonly #waiting: { readonly bytes: number; readonly go: () => void }[] = [];

  constructor(totalBytes: number) {
    this.#totalBytes = totalBytes;
    this.#freeBytes = totalBytes;
  }

  async take(bytes: number, signal: AbortSignal): Promise<void> {
    assert(bytes <= this.#totalBytes, 'a buffer fits its budget');
    signal.throwIfAborted();
    if (this.#waiting.length === 0 && bytes <= this.#freeBytes) {
      this.#freeBytes -= bytes;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(abortReason(signal));
        this.#admit();
      };
      const go = () => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const waiter = { bytes, go };
      this.#waiting.push(waiter);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  give(bytes: number): void {
    this.#freeBytes += bytes;
    this.#admit();
  }

  #admit(): void {
    for (;;) {
      const first = this.#waiting[0];
      if (first === undefined || first.bytes > this.#freeBytes) return;
      this.#waiting.shift();
      this.#freeBytes -= first.bytes;
      first.go();
    }
  }
}

/**
 * Open data files, shared and kept for the next use. A handle stays open at least until its last user released it;
 * beyond `max`, those used longest ago are closed. Closing never blocks a user.
 */
import { assert } from '../core/assert.ts';
import type { Disk, File } from '../io/io.ts';

export interface OpenedFile {
  readonly file: File;
  /** Call exactly once. */
  release(): void;
}

interface Entry {
  readonly file: Promise<File>;
  uses: number;
  /** Not to be given out again: its name is about to go. */
  forgotten: boolean;
}

export class OpenFiles {
  readonly #disk: Disk;
  readonly #max: number;
  /** In order of last use. */
  readonly #entries = new Map<string, Entry>();

  constructor(disk: Disk, max: number) {
    this.#disk = disk;
    this.#max = max;
  }

  async acquire(path: string, mode: 'read' | 'write'): Promise<OpenedFile> {
    const name = `${mode}:${path}`;
    const entry = this.#entries.get(name) ?? this.#open(path, mode);
    entry.uses += 1;
    this.#entries.delete(name);
    this.#entries.set(name, entry);
    try {
      const file = await entry.file;
      let released = false;
      return {
        file,
        release: () => {
          assert(!released, 'a file is released once');
          released = true;
          this.#release(entry);
        },
      };
    } catch (error) {
      entry.uses -= 1;
      if (this.#entries.get(name) === entry) this.#entries.delete(name);
      throw error;
    }
  }

  /** Later users open the name anew; present ones go on with what they have. */
  forget(path: string): void {
    for (const name of [`read:${path}`, `write:${path}`]) {
      const entry = this.#entries.get(name);
      if (entry === undefined) continue;
      this.#entries.delete(name);
      entry.forgotten = true;
      if (entry.uses === 0) this.#close(entry);
    }
  }

  async close(): Promise<void> {
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    await Promise.all(
      entries.map(async (entry) => (await entry.file).close()).map((closed) => closed.catch(() => undefined)),
    );
  }

  #open(path: string, mode: 'read' | 'write'): Entry {
    const options = mode === 'write' ? { write: true, create: true } : {};
    const entry: Entry = { file: this.#disk.open(path, options), uses: 0, forgotten: false };
    this.#trim();
    return entry;
  }

  #release(entry: Entry): void {
    entry.uses -= 1;
    if (entry.uses === 0 && entry.forgotten) this.#close(entry);
  }

  #trim(): void {
    for (const [name, entry] of this.#entries) {
      if (this.#entries.size < this.#max) return;
      if (entry.uses > 0) continue;
      this.#entries.delete(name);
      this.#close(entry);
    }
  }

  #close(entry: Entry): void {
    entry.file.then((file) => file.close()).catch(() => undefined);
  }
}

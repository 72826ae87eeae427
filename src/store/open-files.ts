/**
 * Open data files, shared and kept for the next use. A handle stays open at least until its last user released it;
 * beyond `max`, those used longest ago are closed. Closing never blocks a user, and never takes a file from one: the number
 * of its descriptor would be another file's soon.
 */
import { assert } from '../core/assert.ts';
import { ForebayError } from '../core/errors.ts';
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
  #isClosed = false;
  /** Of all files, those included that are forgotten. */
  #uses = 0;
  readonly #closing = new Set<Promise<void>>();
  readonly #unused = Promise.withResolvers<void>();

  constructor(disk: Disk, max: number) {
    this.#disk = disk;
    this.#max = max;
  }

  /** Throws DiskError, or shuttingDown once this is closed. */
  async acquire(path: string, mode: 'read' | 'write'): Promise<OpenedFile> {
    if (this.#isClosed) throw new ForebayError('shuttingDown', 'the store is closed');
    const name = `${mode}:${path}`;
    const entry = this.#entries.get(name) ?? this.#open(path, mode);
    entry.uses += 1;
    this.#uses += 1;
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
      if (this.#entries.get(name) === entry) this.#entries.delete(name);
      this.#release(entry);
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

  /** Gives out no more files; resolves when those that are used were let go and all are closed. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    for (const entry of entries) entry.forgotten = true;
    for (const entry of entries) if (entry.uses === 0) this.#close(entry);
    if (this.#uses > 0) await this.#unused.promise;
    await Promise.all(this.#closing);
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
    this.#uses -= 1;
    if (this.#uses === 0 && this.#isClosed) this.#unused.resolve();
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
    const closed = entry.file
      .then((file) => file.close())
      .catch(() => undefined)
      .finally(() => this.#closing.delete(closed));
    this.#closing.add(closed);
  }
}

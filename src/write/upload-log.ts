/**
 * What this node remembers of the uploads of staged volumes: for each a file of JSON lines in `<cache directory>/uploads/`,
 * and beside it the files of parts. They outlive the daemon, not the machine: an upload is not a committed object.
 *
 * Crash: a line that was cut off is left out, and with it the part that it was of, which was not acknowledged.
 */
import type { ObjectHeaders } from '../core/object.ts';
import { type Disk, DiskError, type File } from '../io/io.ts';

export interface UploadHead {
  readonly uploadId: string;
  readonly volume: string;
  readonly key: string;
  readonly headers: ObjectHeaders;
  readonly metadata: Readonly<Record<string, string>>;
  readonly begunMs: number;
}

/** Where a part's bytes are: in a file beside the log, from `at` on. */
export interface PartLine {
  readonly number: number;
  readonly doorEtag: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly file: string;
  readonly at: number;
}

export interface CompletedLine {
  /** Which parts were named. */
  readonly parts: string;
  readonly doorEtag: string;
  readonly modifiedMs: number;
  readonly level: 'local' | 'replicated' | 'origin';
}

export interface LoadedUpload {
  readonly head: UploadHead;
  readonly parts: readonly PartLine[];
  readonly completed: CompletedLine | undefined;
}

type Line = { readonly head: UploadHead } | { readonly part: PartLine } | { readonly completed: CompletedLine };

const READ_BYTES = 1 << 20;

export class UploadLog {
  readonly #disk: Disk;
  readonly #directory: string;
  /** Log → its length: lines are appended one after the other. */
  readonly #ends = new Map<string, Promise<number>>();

  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = `${directory}/uploads`;
  }

  /** The path of a file of an upload. */
  path(name: string): string {
    return `${this.#directory}/${name}`;
  }

  async begin(name: string, head: UploadHead): Promise<void> {
    await this.#ensureDirectory();
    this.#ends.set(name, Promise.resolve(0));
    await this.#append(name, { head });
  }

  part(name: string, part: PartLine): Promise<void> {
    return this.#append(name, { part });
  }

  completed(name: string, completed: CompletedLine): Promise<void> {
    return this.#append(name, { completed });
  }

  async load(): Promise<{ name: string; upload: LoadedUpload }[]> {
    await this.#ensureDirectory();
    const loaded: { name: string; upload: LoadedUpload }[] = [];
    for (const { name: file } of await this.#disk.list(this.#directory)) {
      if (!file.endsWith('.log')) continue;
      const name = file.slice(0, -'.log'.length);
      const text = await this.#text(this.path(file));
      const upload = parse(text);
      this.#ends.set(name, Promise.resolve(Buffer.byteLength(text)));
      if (upload === undefined) await this.remove(name);
      else loaded.push({ name, upload });
    }
    return loaded;
  }

  /** Forgets an upload, and its files of parts. */
  async remove(name: string): Promise<void> {
    this.#ends.delete(name);
    for (const { name: file } of await this.#disk.list(this.#directory))
      if (file.startsWith(`${name}.`)) await this.unlink(file);
  }

  async unlink(file: string): Promise<void> {
    try {
      await this.#disk.unlink(this.path(file));
    } catch (error) {
      if (!(error instanceof DiskError && error.code === 'ENOENT')) throw error;
    }
  }

  async #append(name: string, line: Line): Promise<void> {
    const before = this.#ends.get(name) ?? Promise.resolve(0);
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
    const appended = before.then(async (end) => {
      await this.#withFile(name, (file) => file.write(end, bytes));
      return end + bytes.length;
    });
    // what follows a line that could not be written takes its place
    this.#ends.set(
      name,
      appended.catch(() => before),
    );
    await appended;
  }

  async #withFile(name: string, act: (file: File) => Promise<void>): Promise<void> {
    const file = await this.#disk.open(this.path(`${name}.log`), { write: true, create: true });
    try {
      await act(file);
    } finally {
      await file.close();
    }
  }

  async #text(path: string): Promise<string> {
    const file = await this.#disk.open(path);
    try {
      const pieces: Uint8Array[] = [];
      for (let at = 0; ; ) {
        const bytes = await file.read(at, READ_BYTES);
        if (bytes.length === 0) break;
        pieces.push(Uint8Array.from(bytes));
        at += bytes.length;
      }
      return Buffer.concat(pieces).toString('utf8');
    } finally {
      await file.close();
    }
  }

  async #ensureDirectory(): Promise<void> {
    if ((await this.#disk.stat(this.#directory)) !== undefined) return;
    try {
      await this.#disk.makeDirectory(this.#directory, { mode: 0o700 });
    } catch (error) {
      if (!(error instanceof DiskError && error.code === 'EEXIST')) throw error;
    }
  }
}

function parse(text: string): LoadedUpload | undefined {
  let head: UploadHead | undefined;
  let completed: CompletedLine | undefined;
  const parts = new Map<number, PartLine>();
  for (const line of text.split('\n')) {
    const value = parseLine(line);
    if (value === undefined) continue;
    if ('head' in value) head = value.head;
    else if ('part' in value) parts.set(value.part.number, value.part);
    else completed = value.completed;
  }
  return head && { head, parts: [...parts.values()], completed };
}

function parseLine(line: string): Line | undefined {
  try {
    const value = JSON.parse(line) as Line | null;
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

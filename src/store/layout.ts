/** Where things lie below a cache directory (DESIGN.md section 4), and the version of that layout. */
import { dirname } from 'node:path';
import { ForebayError } from '../core/errors.ts';
import { type ContentId, parseContentId } from '../core/ids.ts';
import { type Disk, DiskError } from '../io/io.ts';

/** Each raised by the first use of what it brings, so that an older daemon may have a directory back that was without. */
const FORMAT_BASE = 1;
export const FORMAT_STAGED = 2;
export const FORMAT_VALUES = 3;
/** Values above the size of small contents in packs. */
export const FORMAT_PACKED_VALUES = 4;
const FORMAT_VERSION = FORMAT_PACKED_VALUES;

export class Layout {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  get format(): string {
    return `${this.directory}/FORMAT`;
  }
  get lock(): string {
    return `${this.directory}/LOCK`;
  }
  get journal(): string {
    return `${this.directory}/journal`;
  }
  /** Space kept back, so that a full disk can still be told what to evict. */
  get reserve(): string {
    return `${this.directory}/journal/reserve`;
  }
  get objects(): string {
    return `${this.directory}/objects`;
  }
  get small(): string {
    return `${this.directory}/small`;
  }
  get orphans(): string {
    return `${this.directory}/orphans`;
  }

  /** `objects/ab/<content>.data`, ab = the id's last two digits. */
  data(id: ContentId): string {
    return `${this.objects}/${id.slice(-2)}/${id}.data`;
  }

  /** `objects/ab/<content>.table`: the block checksums of a content that was written here. */
  table(id: ContentId): string {
    return `${this.objects}/${id.slice(-2)}/${id}.table`;
  }

  /** The directory of a content's files. */
  fan(id: ContentId): string {
    return `${this.objects}/${id.slice(-2)}`;
  }

  /** The content whose table a file name names. */
  static tableOf(name: string): ContentId | undefined {
    return name.endsWith('.table') ? parseContentId(name.slice(0, -'.table'.length)) : undefined;
  }

  /** The content whose data a file name names. */
  static contentOf(name: string): ContentId | undefined {
    return name.endsWith('.data') ? parseContentId(name.slice(0, -'.data'.length)) : undefined;
  }
}

/** Makes the directories of a new cache directory, so that they survive a power cut. */
export async function makeLayout(disk: Disk, layout: Layout): Promise<void> {
  let isNew = false;
  for (const path of [layout.directory, layout.journal, layout.objects, layout.small, layout.orphans]) {
    if (await makeIfMissing(disk, path)) isNew = true;
  }
  const present = new Set((await disk.list(layout.objects)).map((entry) => entry.name));
  for (let fan = 0; fan < 256; fan += 1) {
    const name = fan.toString(16).padStart(2, '0');
    if (!present.has(name) && (await makeIfMissing(disk, `${layout.objects}/${name}`))) isNew = true;
  }
  if (!isNew) return;
  await disk.syncDirectory(layout.objects);
  await disk.syncDirectory(layout.directory);
  // The directory above may belong to somebody else; then it was there before.
  await disk.syncDirectory(dirname(layout.directory)).catch(ignoreDisk);
}

/** True when it was missing. */
async function makeIfMissing(disk: Disk, path: string): Promise<boolean> {
  try {
    await disk.makeDirectory(path, { mode: 0o700 });
    return true;
  } catch (error) {
    if (!(error instanceof DiskError) || error.code !== 'EEXIST') throw error;
    return false;
  }
}

function ignoreDisk(error: unknown): void {
  if (!(error instanceof DiskError)) throw error;
}

/** Reads the layout's version, or writes the lowest into a new directory; returns it. Throws formatTooNew, or config for something that is not ours. */
export async function checkFormat(disk: Disk, layout: Layout): Promise<number> {
  const text = await readText(disk, layout.format);
  if (text === undefined || text === '') {
    await writeFormat(disk, layout, FORMAT_BASE);
    return FORMAT_BASE;
  }
  const match = /^forebay-store (\d+)\n$/.exec(text);
  if (match === null)
    throw new ForebayError('config', `${layout.format} is not a Forebay cache directory's; name another cacheDir`);
  const version = Number.parseInt(match[1] as string, 10);
  if (version > FORMAT_VERSION) {
    throw new ForebayError(
      'formatTooNew',
      `${layout.directory} has layout ${version}, and this Forebay knows layouts up to ${FORMAT_VERSION}`,
    );
  }
  return version;
}

/** The layout's version while the directory is open. It only rises. */
export class Format {
  readonly #disk: Disk;
  readonly #layout: Layout;
  #version: number;
  #raising: Promise<void> = Promise.resolve();

  constructor(disk: Disk, layout: Layout, version: number) {
    this.#disk = disk;
    this.#layout = layout;
    this.#version = version;
  }

  has(version: number): boolean {
    return this.#version >= version;
  }

  /** From here on daemons that do not know `version` refuse the directory. Safe at any instant: one byte changes. Throws DiskError. */
  async raise(version: number): Promise<void> {
    if (this.has(version)) return;
    const before = this.#raising.catch(() => undefined);
    this.#raising = before.then(async () => {
      if (this.has(version)) return;
      await writeFormat(this.#disk, this.#layout, version);
      this.#version = version;
    });
    await this.#raising;
  }
}

async function writeFormat(disk: Disk, layout: Layout, version: number): Promise<void> {
  const file = await disk.open(layout.format, { write: true, create: true });
  try {
    await file.write(0, Buffer.from(`forebay-store ${version}\n`, 'utf8'));
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.syncDirectory(layout.directory);
}

async function readText(disk: Disk, path: string): Promise<string | undefined> {
  try {
    const file = await disk.open(path);
    try {
      return Buffer.from(await file.read(0, 4096)).toString('utf8');
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof DiskError && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

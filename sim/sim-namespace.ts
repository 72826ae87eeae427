/**
 * The names of a simulated disk. Every change of a directory is kept, in order, until that directory is synced; a
 * power cut undoes a tail of them, of its own length in each directory. The halves of one rename live or die together.
 */
import { DiskError } from '../src/io/io.ts';
import { SimInode } from './sim-inode.ts';
import type { SimRandom } from './sim-random.ts';

export class SimDirectory {
  readonly number: bigint;
  readonly kind = 'directory';
  readonly entries = new Map<string, SimNode>();
  modifiedMs = 0;

  constructor(number: bigint) {
    this.number = number;
  }
}

export type SimNode = SimDirectory | SimInode;

interface Change {
  readonly directory: SimDirectory;
  readonly name: string;
  readonly before: SimNode | undefined;
  /** Changes of one group survive together. */
  readonly group: number;
}

const NAME_MAX_BYTES = 255;

const error = (code: string, path: string): DiskError => new DiskError(code, path);

export class SimNamespace {
  readonly root: SimDirectory;
  #unsynced: Change[] = [];
  #numbers = 1n;
  #group = 0;

  constructor() {
    this.root = new SimDirectory(this.#numbers++);
  }

  #segments(path: string): string[] {
    if (!path.startsWith('/')) throw error('EINVAL', `${path}: paths are absolute`);
    if (path.includes('\0')) throw error('EINVAL', 'a path with a NUL');
    const segments = path.split('/').filter((segment) => segment !== '' && segment !== '.');
    if (segments.some((segment) => Buffer.byteLength(segment) > NAME_MAX_BYTES)) throw error('ENAMETOOLONG', path);
    return segments;
  }

  /** What has this name. Below a file is ENOTDIR, or nothing for those who only ask. */
  find(path: string, options: { belowFile?: 'absent' } = {}): SimNode | undefined {
    let node: SimNode = this.root;
    for (const segment of this.#segments(path)) {
      if (node.kind !== 'directory') {
        if (options.belowFile === 'absent') return undefined;
        throw error('ENOTDIR', path);
      }
      const next: SimNode | undefined = node.entries.get(segment);
      if (!next) return undefined;
      node = next;
    }
    return node;
  }

  /** The directory that holds `path`, and the last name of it. */
  place(path: string): { directory: SimDirectory; name: string } {
    const segments = this.#segments(path);
    const name = segments.pop();
    if (name === undefined) throw error('EBUSY', path);
    const directory = this.find(`/${segments.join('/')}`);
    if (!directory) throw error('ENOENT', path);
    if (directory.kind !== 'directory') throw error('ENOTDIR', path);
    return { directory, name };
  }

  directory(path: string): SimDirectory {
    const node = this.find(path);
    if (!node) throw error('ENOENT', path);
    if (node.kind !== 'directory') throw error('ENOTDIR', path);
    return node;
  }

  #set(place: { directory: SimDirectory; name: string }, node: SimNode | undefined, group: number): void {
    const before = place.directory.entries.get(place.name);
    this.#unsynced.push({ ...place, before, group });
    if (before instanceof SimInode) before.links--;
    if (node instanceof SimInode) node.links++;
    if (node) place.directory.entries.set(place.name, node);
    else place.directory.entries.delete(place.name);
  }

  /** A new, empty file or directory under a free name. */
  create(path: string, kind: 'file' | 'directory'): SimNode {
    const place = this.place(path);
    if (place.directory.entries.has(place.name)) throw error('EEXIST', path);
    const node = kind === 'file' ? new SimInode(this.#numbers++) : new SimDirectory(this.#numbers++);
    this.#set(place, node, this.#group++);
    return node;
  }

  link(from: string, to: string): void {
    const node = this.find(from);
    if (!node) throw error('ENOENT', from);
    if (node.kind === 'directory') throw error('EPERM', from);
    const place = this.place(to);
    if (place.directory.entries.has(place.name)) throw error('EEXIST', to);
    this.#set(place, node, this.#group++);
  }

  /** Returns what lost its name. */
  unlink(path: string): SimInode {
    const place = this.place(path);
    const node = place.directory.entries.get(place.name);
    if (!node) throw error('ENOENT', path);
    if (node.kind === 'directory') throw error('EISDIR', path);
    this.#set(place, undefined, this.#group++);
    return node;
  }

  removeDirectory(path: string): void {
    const place = this.place(path);
    const node = place.directory.entries.get(place.name);
    if (!node) throw error('ENOENT', path);
    if (node.kind !== 'directory') throw error('ENOTDIR', path);
    if (node.entries.size > 0) throw error('ENOTEMPTY', path);
    this.#set(place, undefined, this.#group++);
  }

  /** Returns the file that was replaced, if any. */
  rename(from: string, to: string): SimInode | undefined {
    const source = this.place(from);
    const node = source.directory.entries.get(source.name);
    if (!node) throw error('ENOENT', from);
    const target = this.place(to);
    const taken = target.directory.entries.get(target.name);
    if (taken === node) return undefined;
    if (taken?.kind === 'directory') {
      if (node.kind !== 'directory') throw error('EISDIR', to);
      if (taken.entries.size > 0) throw error('ENOTEMPTY', to);
    } else if (taken && node.kind === 'directory') throw error('ENOTDIR', to);
    const group = this.#group++;
    this.#set(target, node, group);
    this.#set(source, undefined, group);
    return taken instanceof SimInode ? taken : undefined;
  }

  /** Makes the changes of one directory lasting, and with them whatever a rename ties to them. */
  sync(directory: SimDirectory): void {
    const ends = new Map<SimDirectory, number>([[directory, this.#unsynced.length]]);
    for (let again = true; again; ) {
      again = false;
      const groups = new Set<number>();
      this.#unsynced.forEach((change, at) => {
        if (at < (ends.get(change.directory) ?? 0)) groups.add(change.group);
      });
      this.#unsynced.forEach((change, at) => {
        if (!groups.has(change.group) || at < (ends.get(change.directory) ?? 0)) return;
        ends.set(change.directory, at + 1);
        again = true;
      });
    }
    this.#unsynced = this.#unsynced.filter((change, at) => at >= (ends.get(change.directory) ?? 0));
  }

  /** The power is cut: a tail of each directory's changes, drawn at random, never happened. */
  crash(random: SimRandom, keep: number): void {
    const counts = new Map<SimDirectory, number>();
    for (const { directory } of this.#unsynced) counts.set(directory, (counts.get(directory) ?? 0) + 1);
    for (const [directory, count] of counts) {
      counts.set(directory, random.chance(keep) ? count : random.integer(count + 1));
    }
    const undone = this.#undone(counts);
    for (const change of this.#unsynced.filter((each) => undone.has(each)).reverse()) {
      if (change.before) change.directory.entries.set(change.name, change.before);
      else change.directory.entries.delete(change.name);
    }
    this.#unsynced = [];
    this.#recount();
  }

  /** The changes past the kept number of each directory, with what belongs to their groups and what came after those. */
  #undone(kept: ReadonlyMap<SimDirectory, number>): Set<Change> {
    const undone = new Set<Change>();
    const groups = new Set<number>();
    for (let size = -1; size !== undone.size; ) {
      size = undone.size;
      const seen = new Map<SimDirectory, number>();
      const cut = new Set<SimDirectory>();
      for (const change of this.#unsynced) {
        const position = (seen.get(change.directory) ?? 0) + 1;
        seen.set(change.directory, position);
        const isPast = position > (kept.get(change.directory) ?? 0);
        if (!isPast && !cut.has(change.directory) && !groups.has(change.group)) continue;
        cut.add(change.directory);
        groups.add(change.group);
        undone.add(change);
      }
    }
    return undone;
  }

  #recount(): void {
    for (const inode of this.files()) inode.links = 0;
    this.#walk(this.root, '', (_, inode) => {
      inode.links++;
    });
  }

  #walk(directory: SimDirectory, path: string, visit: (path: string, inode: SimInode) => void): void {
    for (const [name, node] of directory.entries) {
      if (node.kind === 'directory') this.#walk(node, `${path}/${name}`, visit);
      else visit(`${path}/${name}`, node);
    }
  }

  /** Every file that has a name, once, by its first path. */
  paths(): Map<string, SimInode> {
    const paths = new Map<string, SimInode>();
    const seen = new Set<SimInode>();
    this.#walk(this.root, '', (path, inode) => {
      if (!seen.has(inode)) paths.set(path, inode);
      seen.add(inode);
    });
    return paths;
  }

  files(): Iterable<SimInode> {
    return this.paths().values();
  }
}

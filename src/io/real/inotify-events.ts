/** The kernel's inotify events as hints. Pure: whoever has the descriptor feeds the bytes and adds the watches. */
import type { WatchHint } from '../watch.ts';

const IN_CLOSE_WRITE = 0x8;
const IN_MOVED_FROM = 0x40;
const IN_MOVED_TO = 0x80;
const IN_CREATE = 0x100;
const IN_DELETE = 0x200;
const IN_Q_OVERFLOW = 0x4000;
const IN_IGNORED = 0x8000;
const IN_ONLYDIR = 0x0100_0000;
const IN_DONT_FOLLOW = 0x0200_0000;
const IN_EXCL_UNLINK = 0x0400_0000;
const IN_ISDIR = 0x4000_0000;

export const WATCH_MASK =
  IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK;

const HEAD_BYTES = 16;

export interface Watches {
  /** Watches a directory and all below it; what cannot be watched is left out. */
  add(path: string): void;
  remove(watch: number): void;
}

export class InotifyEvents {
  readonly #watches: Watches;
  /** Watch → path of its directory, relative, without a slash at the end. */
  readonly paths = new Map<number, string>();
  #movedFrom: { readonly cookie: number; readonly path: string; readonly isDirectory: boolean } | undefined;

  constructor(watches: Watches) {
    this.#watches = watches;
  }

  /** The first half of a rename is here, and the other not yet. */
  get isWaiting(): boolean {
    return this.#movedFrom !== undefined;
  }

  /** The other half does not come: the file left the directory. */
  expire(): WatchHint[] {
    const from = this.#movedFrom;
    this.#movedFrom = undefined;
    if (from === undefined) return [];
    if (from.isDirectory) this.#forget(from.path);
    return [{ kind: 'gone', path: from.path }];
  }

  read(bytes: Buffer): WatchHint[] {
    const hints: WatchHint[] = [];
    for (let at = 0; at + HEAD_BYTES <= bytes.length; ) {
      const [watch, mask, cookie] = [bytes.readInt32LE(at), bytes.readUInt32LE(at + 4), bytes.readUInt32LE(at + 8)];
      const length = bytes.readUInt32LE(at + 12);
      const name = bytes.toString('utf8', at + HEAD_BYTES, at + HEAD_BYTES + length).replace(/\0+$/, '');
      at += HEAD_BYTES + length;
      if ((mask & IN_Q_OVERFLOW) !== 0) hints.push({ kind: 'look', path: '', hasEscaped: true });
      if ((mask & IN_IGNORED) !== 0) this.paths.delete(watch);
      const directory = this.paths.get(watch);
      if (directory === undefined || name === '') continue;
      this.#event({ path: directory === '' ? name : `${directory}/${name}`, mask, cookie }, hints);
    }
    return hints;
  }

  #event({ path, mask, cookie }: { path: string; mask: number; cookie: number }, hints: WatchHint[]): void {
    const isDirectory = (mask & IN_ISDIR) !== 0;
    const from = this.#movedFrom;
    if ((mask & IN_MOVED_TO) !== 0 && from?.cookie === cookie) {
      this.#movedFrom = undefined;
      if (isDirectory) {
        this.#rename(from.path, path);
        // It may have had its new name already when it was to be watched under the old one.
        this.#watches.add(path);
      }
      hints.push({ kind: 'moved', from: from.path, to: path });
      return;
    }
    if (from !== undefined) hints.push(...this.expire());
    if ((mask & IN_MOVED_FROM) !== 0) this.#movedFrom = { cookie, path, isDirectory };
    else if ((mask & (IN_CREATE | IN_MOVED_TO)) !== 0 && isDirectory) {
      this.#watches.add(path);
      hints.push({ kind: 'look', path, hasEscaped: true });
    } else if ((mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) !== 0) hints.push({ kind: 'finished', path });
    // A name for a file that has others, or a file that is only begun.
    else if ((mask & IN_CREATE) !== 0) hints.push({ kind: 'look', path, hasEscaped: false });
    else if ((mask & IN_DELETE) !== 0) hints.push({ kind: 'gone', path });
  }

  /** Watches follow the directory, only their names change. */
  #rename(from: string, to: string): void {
    for (const [watch, path] of this.paths)
      if (path === from || path.startsWith(`${from}/`)) this.paths.set(watch, to + path.slice(from.length));
  }

  #forget(below: string): void {
    for (const [watch, path] of this.paths) {
      if (path !== below && !path.startsWith(`${below}/`)) continue;
      this.paths.delete(watch);
      this.#watches.remove(watch);
    }
  }
}

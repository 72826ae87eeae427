/**
 * Where a link leads. A name finds a note as in Obsidian: by its path, by the end of its path, by its file's name, its alias or
 * its title; case does not count. Of two notes of one name the one beside the linking note is taken, then the one nearest
 * to the top, and the ambiguity is told.
 */
import { folded } from './text.ts';

interface Indexed {
  readonly path: string;
  readonly names: readonly string[];
}

export type Found =
  | { readonly kind: 'note'; readonly path: string; readonly others: readonly string[] }
  | { readonly kind: 'file'; readonly path: string };

const withoutExtension = (path: string) => path.replace(/\.(md|markdown)$/i, '');
const lastName = (path: string) => path.slice(path.lastIndexOf('/') + 1);
const folderOf = (path: string) => path.slice(0, Math.max(path.lastIndexOf('/'), 0));

/** `.` and `..` taken out; undefined when the path leaves the folder. */
function plainPath(path: string): string | undefined {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') {
      if (parts.pop() === undefined) return undefined;
    } else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}

export class NoteIndex {
  readonly #notes = new Map<string, string[]>();
  readonly #files = new Map<string, string[]>();
  readonly #aliases = new Map<string, string[]>();

  constructor(notes: readonly Indexed[], files: readonly string[]) {
    for (const { path, names } of notes) {
      add(this.#notes, lastName(withoutExtension(path)), path);
      for (const name of names) add(this.#aliases, name, path);
    }
    for (const path of files) add(this.#files, lastName(path), path);
  }

  /** A wikilink's target, seen from the note at `from`. */
  wiki(target: string, from: string): Found | undefined {
    const isRelative = /^\.\.?\//.test(target);
    const wanted = plainPath(isRelative ? `${folderOf(from)}/${target}` : target);
    if (wanted === undefined || wanted === '') return undefined;
    const note = this.#named(this.#notes, withoutExtension(wanted), withoutExtension, from);
    if (note) return { kind: 'note', ...note };
    const file = this.#named(this.#files, wanted, (path) => path, from);
    if (file) return { kind: 'file', path: file.path };
    const alias = best(this.#aliases.get(folded(target)) ?? [], from);
    return alias && { kind: 'note', ...alias };
  }

  /** The path of a Markdown link, relative to the note at `from` or, with `/` in front, to the room. */
  relative(address: string, from: string): Found | undefined {
    const wanted = plainPath(address.startsWith('/') ? address : `${folderOf(from)}/${address}`);
    if (wanted === undefined || wanted === '') return undefined;
    const exactly = (map: ReadonlyMap<string, readonly string[]>, path: string, plain: (path: string) => string) =>
      (map.get(folded(lastName(path))) ?? []).filter((known) => folded(plain(known)) === folded(path));
    const file = exactly(this.#files, wanted, (path) => path)[0];
    if (file !== undefined) return { kind: 'file', path: file };
    const note = exactly(this.#notes, withoutExtension(wanted), withoutExtension)[0];
    return note === undefined ? undefined : { kind: 'note', path: note, others: [] };
  }

  #named(
    map: ReadonlyMap<string, readonly string[]>,
    wanted: string,
    plain: (path: string) => string,
    from: string,
  ): { path: string; others: readonly string[] } | undefined {
    const end = folded(wanted);
    const known = map.get(folded(lastName(wanted))) ?? [];
    const whole = known.filter((path) => folded(plain(path)) === end);
    // A name with a folder says exactly where; a bare name prefers its neighbourhood.
    if (end.includes('/') && whole.length > 0) return best(whole, from);
    return best(
      known.filter((path) => folded(plain(path)) === end || folded(plain(path)).endsWith(`/${end}`)),
      from,
    );
  }
}

function add(map: Map<string, string[]>, name: string, path: string): void {
  const key = folded(name);
  const known = map.get(key);
  if (known === undefined) map.set(key, [path]);
  else if (!known.includes(path)) known.push(path);
}

function best(paths: readonly string[], from: string): { path: string; others: readonly string[] } | undefined {
  if (paths.length === 0) return undefined;
  const folder = folderOf(from);
  const depth = (path: string) => (folderOf(path) === folder ? -1 : path.split('/').length);
  const [path, ...others] = [...paths].sort((a, b) => depth(a) - depth(b) || (a < b ? -1 : 1));
  return { path: path as string, others };
}

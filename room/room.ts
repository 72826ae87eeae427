/**
 * A room: what is known of a folder of notes before its pages are written. Notes are read twice, here for what they say of each
 * other and once more for their page, so that memory is bounded by their text and not by their syntax trees.
 */
import { readFileSync } from 'node:fs';
import { type Folder, type Problem, type RoomFile, readFolder } from './folder.ts';
import { type FrontMatter, splitNote } from './front-matter.ts';
import { type Heading, type Parsed, parseLine, parseNote, type Target, type WikiLink, wikiLabel } from './markdown.ts';
import { type Found, NoteIndex } from './note-index.ts';
import { pagePaths } from './page-paths.ts';
import { groupRuns, type Run, type RunGroup, readRuns } from './runs.ts';
import type { Task } from './task-query.ts';
import { addressOf, folded, slugOf } from './text.ts';

export interface Note {
  readonly file: RoomFile;
  readonly path: string;
  /** Of its page, below the output. */
  readonly page: string;
  readonly title: string;
  readonly anchors: ReadonlySet<string>;
  readonly matter: FrontMatter;
  readonly tags: readonly string[];
  readonly tasks: readonly Task[];
  readonly isDecision: boolean;
  /** For a decision: the front matter's, else the first line that begins with `Status:`. */
  readonly status: string;
  /** For search, cut at `searchCharacters`. */
  readonly text: string;
}

export interface Missing {
  /** As first written. */
  readonly target: string;
  /** Paths of the notes that link there. */
  readonly from: ReadonlySet<string>;
}

export interface Room {
  readonly name: string;
  readonly notes: readonly Note[];
  readonly byPath: ReadonlyMap<string, Note>;
  /** Path of a note → paths of the notes that link to it. */
  readonly backlinks: ReadonlyMap<string, ReadonlySet<string>>;
  readonly missing: readonly Missing[];
  readonly decisions: readonly Note[];
  readonly tasks: readonly Task[];
  readonly tags: ReadonlyMap<string, readonly Note[]>;
  readonly runGroups: readonly RunGroup[];
  readonly problems: readonly Problem[];
  /** Files that notes or runs lead to: they are copied. */
  readonly linkedFiles: readonly RoomFile[];
  /** Where a link in `note` leads, as an address relative to its page. */
  wiki(note: Note, link: WikiLink): Target;
  address(note: Note, address: string): Target;
}

const OTHERS_SHOWN_MAX = 4;
const NOTE_BYTES_MAX = 4 * 2 ** 20;
const SEARCH_CHARACTERS_MAX = 8192;
/** All texts of the search together: what a browser loads when somebody searches. */
const SEARCH_CHARACTERS_TOTAL_MAX = 16 * 2 ** 20;
const IMAGE = /\.(png|jpe?g|gif|webp|avif|svg|bmp)$/i;

/** A note's source as text; what cannot be shown is said. */
export function sourceOf(file: RoomFile): { source: string; error?: string } {
  if (file.sizeBytes > NOTE_BYTES_MAX)
    return { source: '', error: `is ${Math.ceil(file.sizeBytes / 2 ** 20)} MiB long; notes are shown up to 4 MiB` };
  try {
    const source = readFileSync(file.absolute, 'utf8').replaceAll('\0', '\ufffd');
    return source.includes('\ufffd')
      ? { source, error: 'is not all UTF-8 text: what is not shows as \ufffd' }
      : { source };
  } catch (error) {
    return { source: '', error: `cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}` };
  }
}

const fileName = (path: string) => path.slice(path.lastIndexOf('/') + 1).replace(/\.(md|markdown)$/i, '');

function isDecision(path: string, tags: readonly string[]): boolean {
  return (
    tags.some((tag) => /^decisions?(\/|$)/.test(tag)) ||
    path
      .split('/')
      .slice(0, -1)
      .some((part) => folded(part) === 'decisions')
  );
}

interface Read {
  readonly note: Note;
  readonly links: Pick<Parsed, 'wikiLinks' | 'addresses'>;
}

function anchorsOf({ title, headings }: { title: Heading | undefined; headings: readonly Heading[] }): Set<string> {
  return new Set([...(title ? [title] : []), ...headings].map(({ anchor }) => anchor));
}

const HEAD_CHARACTERS = 4000;

function statusIn(body: string): string {
  return /^[\s*_>#|-]{0,8}status[*_:| ]{1,8}([^\n]{1,80})/im.exec(body.slice(0, HEAD_CHARACTERS))?.[1]?.trim() ?? '';
}

/** A string of its own: a part of another keeps all of that in memory. */
const copied = (text: string) => Buffer.from(text.toWellFormed()).toString();

function readNote(file: RoomFile, page: string, searchCharacters: number, problems: Problem[]): Read {
  const { source, error } = sourceOf(file);
  const { matter, body, errors } = splitNote(source);
  for (const text of [...(error === undefined ? [] : [error]), ...errors]) problems.push({ path: file.path, text });
  const parsed = parseNote(file.path, body, matter.title);
  const tags = Array.from(new Set([...matter.tags, ...parsed.tags]));
  const inProperties = matter.properties.map(([, value]) => parseLine(value));
  const note: Note = {
    file,
    path: file.path,
    page,
    title: matter.title ?? parsed.title?.text ?? fileName(file.path),
    anchors: anchorsOf(parsed),
    matter,
    tags,
    tasks: parsed.tasks,
    isDecision: isDecision(file.path, tags),
    status: matter.status ?? statusIn(body),
    text: copied(parsed.text.slice(0, searchCharacters).replace(/\s+/g, ' ')),
  };
  return {
    note,
    links: {
      wikiLinks: [...parsed.wikiLinks, ...inProperties.flatMap(({ wikiLinks }) => wikiLinks)],
      addresses: [...parsed.addresses, ...inProperties.flatMap(({ addresses }) => addresses)],
    },
  };
}

/** `#`, `?` and percent signs of a Markdown link's address taken apart. */
function placeOf(address: string): { path: string; anchor: string } {
  const [before = '', anchor = ''] = address.split('#');
  const path = before.split('?')[0] as string;
  const decode = (text: string) => {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  };
  return { path: decode(path), anchor: decode(anchor) };
}

const isOutside = (address: string) => /^(?:https?|mailto):/i.test(address);

/** Collects what links lead to while the notes are looked at; each note that links counts once. */
class Links {
  readonly backlinks = new Map<string, Set<string>>();
  readonly missing = new Map<string, { target: string; from: Set<string> }>();
  readonly files = new Set<string>();

  note(to: string, from: string): void {
    if (from === to) return;
    const known = this.backlinks.get(to);
    if (known) known.add(from);
    else this.backlinks.set(to, new Set([from]));
  }

  nowhere(target: string, from: string): void {
    const key = folded(target.replace(/\.(md|markdown)$/i, ''));
    const known = this.missing.get(key) ?? { target, from: new Set() };
    known.from.add(from);
    this.missing.set(key, known);
  }
}

function follow(
  { note, links }: Read,
  index: NoteIndex,
  byPath: ReadonlyMap<string, Note>,
  found: Links,
  problems: Problem[],
): void {
  const take = (target: string, heading: string, to: Found | undefined, label: string) => {
    if (to === undefined) return found.nowhere(target, note.path);
    if (to.kind === 'file') return found.files.add(to.path);
    found.note(to.path, note.path);
    if (to.others.length > 0)
      problems.push({
        path: note.path,
        text: `[[${label}]] fits ${[to.path, ...to.others.slice(0, OTHERS_SHOWN_MAX)].join(', ')}${to.others.length > OTHERS_SHOWN_MAX ? ', …' : ''}; ${to.path} was taken: write its folder, too`,
      });
    if (heading !== '' && !heading.startsWith('^') && !byPath.get(to.path)?.anchors.has(slugOf(heading)))
      problems.push({ path: note.path, text: `[[${label}]]: ${to.path} has no heading "${heading}"` });
  };
  const itself: Found = { kind: 'note', path: note.path, others: [] };
  for (const link of links.wikiLinks) {
    const to = link.target === '' ? itself : index.wiki(link.target, note.path);
    take(link.target, link.heading, to, `${link.target}${link.heading === '' ? '' : `#${link.heading}`}`);
  }
  for (const address of links.addresses) {
    const { path } = placeOf(address);
    if (!isOutside(address) && path !== '') take(path, '', index.relative(path, note.path), path);
  }
}

const newestFirst = (a: Note, b: Note) => {
  const [first, second] = [a.matter.date ?? '', b.matter.date ?? ''];
  return first < second ? 1 : first > second ? -1 : a.path < b.path ? 1 : -1;
};

export interface RoomOptions {
  readonly name: string;
  readonly directory: string;
  /** Another folder with results. */
  readonly runs: string | undefined;
  /** Real paths that are not the room's, such as its output. */
  readonly leaveOut: readonly string[];
}

export function readRoom(options: RoomOptions, progress: (text: string, done: number, total: number) => void): Room {
  const folder: Folder = readFolder(options.directory, options.leaveOut);
  const problems: Problem[] = [...folder.problems];
  const pages = pagePaths(folder.notes.map(({ path }) => path));
  const searchCharacters = Math.min(
    SEARCH_CHARACTERS_MAX,
    Math.floor(SEARCH_CHARACTERS_TOTAL_MAX / Math.max(folder.notes.length, 1)),
  );
  const read = folder.notes.map((file, i) => {
    progress('reading notes', i + 1, folder.notes.length);
    return readNote(file, pages.get(file.path) as string, searchCharacters, problems);
  });
  const notes = read.map(({ note }) => note);
  const byPath = new Map(notes.map((note) => [note.path, note]));
  const index = new NoteIndex(
    notes.map(({ path, title, matter }) => ({ path, names: [...matter.aliases, title] })),
    folder.others.map(({ path }) => path),
  );
  const links = new Links();
  for (const each of read) follow(each, index, byPath, links, problems);
  const runs = runsOf(folder, options, problems);
  const here = new Map(folder.others.map((file) => [file.path, file]));
  return {
    name: options.name,
    notes,
    byPath,
    backlinks: links.backlinks,
    missing: Array.from(links.missing.values()).sort(
      (a, b) => b.from.size - a.from.size || (a.target < b.target ? -1 : 1),
    ),
    decisions: notes.filter((note) => note.isDecision).sort(newestFirst),
    tasks: notes.flatMap(({ tasks }) => tasks),
    tags: tagsOf(notes),
    runGroups: groupRuns(runs),
    problems: withoutTwins(problems),
    linkedFiles: Array.from(links.files, (path) => here.get(path) as RoomFile),
    ...targets(index, byPath),
  };
}

function withoutTwins(problems: readonly Problem[]): Problem[] {
  return Array.from(new Map(problems.map((problem) => [`${problem.path}\n${problem.text}`, problem])).values());
}

function runsOf(folder: Folder, options: RoomOptions, problems: Problem[]): Run[] {
  const elsewhere = options.runs === undefined ? undefined : readFolder(options.runs, options.leaveOut);
  const read = readRuns([...folder.others, ...(elsewhere?.others ?? [])]);
  problems.push(...(elsewhere?.problems ?? []), ...read.problems);
  return read.runs;
}

function tagsOf(notes: readonly Note[]): Map<string, Note[]> {
  const tags = new Map<string, Note[]>();
  for (const note of notes)
    for (const tag of note.tags) {
      const known = tags.get(tag);
      if (known) known.push(note);
      else tags.set(tag, [note]);
    }
  return new Map([...tags].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The way from a page to the top of the output. */
export const upFrom = (page: string): string => '../'.repeat(page.split('/').length - 1);

export const filePage = (path: string): string => `files/${path}`;

function targets(index: NoteIndex, byPath: ReadonlyMap<string, Note>): Pick<Room, 'wiki' | 'address'> {
  const targetOf = (note: Note, to: Found | undefined, anchor: string): Target => {
    if (to === undefined) return { kind: 'missing' };
    const up = upFrom(note.page);
    if (to.kind === 'file')
      return { kind: IMAGE.test(to.path) ? 'image' : 'file', href: `${up}${addressOf(filePage(to.path))}` };
    const other = byPath.get(to.path) as Note;
    const hash = anchor === '' ? '' : `#${encodeURIComponent(anchor)}`;
    return { kind: 'page', href: `${up}${addressOf(other.page)}${hash}`, note: other.title };
  };
  return {
    wiki: (note, link) => {
      const anchor = link.heading === '' || link.heading.startsWith('^') ? '' : slugOf(link.heading);
      if (link.target === '') return { kind: 'page', href: `#${encodeURIComponent(anchor)}`, note: wikiLabel(link) };
      return targetOf(note, index.wiki(link.target, note.path), anchor);
    },
    address: (note, address) => {
      if (isOutside(address)) return { kind: 'outside', href: address };
      const { path, anchor } = placeOf(address);
      if (path === '') return { kind: 'page', href: `#${encodeURIComponent(anchor)}` };
      return targetOf(note, index.relative(path, note.path), anchor);
    },
  };
}

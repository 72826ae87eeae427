/**
 * Writes a room as pages. They are written beside the output and put in its place when all are there: who looks meanwhile sees the
 * old room or the new one. A crash leaves the old one, and a folder with `.forebay-room-` in its name that may be deleted.
 */
import {
  chmodSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { decisionsPage, homePage, missingPage, notesPage, problemsPage, tagsPage, tasksPage } from './list-pages.ts';
import { notePage } from './note-page.ts';
import { type Counts, type Page, pageHtml } from './page.ts';
import { filePage, type Note, type Room } from './room.ts';
import { runsPage } from './runs-page.ts';

/** Says that a folder is a room's output, so that it may be replaced. */
const MARK = '_room/style.css';
const ASSETS = ['style.css', 'search.js'] as const;

/** Whether `out` may be replaced by a room: it is not there, empty, or a room. */
export function isReplaceable(out: string): boolean {
  return !existsSync(out) || readdirSync(out).length === 0 || existsSync(join(out, MARK));
}

const LISTS: readonly ((room: Room) => Page)[] = [
  homePage,
  notesPage,
  decisionsPage,
  tasksPage,
  runsPage,
  tagsPage,
  missingPage,
  problemsPage,
];

function countsOf(room: Room): Counts {
  return {
    'notes.html': room.notes.length,
    'decisions.html': room.decisions.length,
    'tasks.html': room.tasks.filter(({ isDone }) => !isDone).length,
    'runs.html': room.runGroups.reduce((sum, { runs }) => sum + runs.length, 0),
    'missing.html': room.missing.length,
    'problems.html': room.problems.length,
  };
}

/** `forebayRoom = [[title, page, tags, text], …]`: a script, since pages of `file:` may not fetch. */
function searchIndex(notes: readonly Note[]): string {
  const rows = notes.map(({ title, page, tags, text }) => JSON.stringify([title, page, tags, text]));
  return `globalThis.forebayRoom = [\n${rows.join(',\n')}\n];\n`;
}

function writePages(room: Room, into: string, progress: (text: string, done: number, total: number) => void): void {
  const frame = { name: room.name, counts: countsOf(room) };
  const made = new Set<string>();
  const write = (path: string, content: string) => {
    const folder = dirname(join(into, path));
    if (!made.has(folder)) mkdirSync(folder, { recursive: true });
    made.add(folder);
    writeFileSync(join(into, path), content.toWellFormed());
  };
  for (const list of LISTS) {
    const page = list(room);
    write(page.name as string, pageHtml(page, frame));
  }
  const problems = Map.groupBy(room.problems, ({ path }) => path);
  for (const [i, note] of room.notes.entries()) {
    progress('writing pages', i + 1, room.notes.length);
    const told = (problems.get(note.path) ?? []).map(({ text }) => text);
    write(note.page, pageHtml(notePage(note, room, told), frame));
  }
  write('_room/search-index.js', searchIndex(room.notes));
  for (const asset of ASSETS) copyFileSync(join(import.meta.dirname, asset), join(into, '_room', asset));
  for (const { path, absolute } of room.linkedFiles) {
    mkdirSync(dirname(join(into, filePage(path))), { recursive: true });
    copyFileSync(absolute, join(into, filePage(path)), constants.COPYFILE_FICLONE);
  }
}

/** Throws what the file system throws; then `out` is as before. */
export function writeSite(
  room: Room,
  out: string,
  progress: (text: string, done: number, total: number) => void,
): void {
  mkdirSync(dirname(out), { recursive: true });
  const fresh = mkdtempSync(join(dirname(out), `.forebay-room-${basename(out)}-`));
  const old = `${fresh}-old`;
  chmodSync(fresh, 0o777 & ~process.umask());
  try {
    writePages(room, fresh, progress);
    const isThere = existsSync(out);
    if (isThere) renameSync(out, old);
    renameSync(fresh, out);
  } finally {
    if (existsSync(old) && !existsSync(out)) renameSync(old, out);
    rmSync(fresh, { recursive: true, force: true });
    rmSync(old, { recursive: true, force: true });
  }
}

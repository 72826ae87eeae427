/** Where notes' pages lie: below `notes/`, by the note's own path, so that a page's address says which note it is. */
import { createHash } from 'node:crypto';
import { folded } from './text.ts';

/** File systems take 255 bytes; `.html` needs some. */
const NAME_BYTES_MAX = 240;

function shortened(name: string): string {
  if (Buffer.byteLength(name) <= NAME_BYTES_MAX) return name;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 12);
  let cut = name;
  while (Buffer.byteLength(cut) > NAME_BYTES_MAX - 13) cut = Array.from(cut).slice(0, -1).join('');
  return `${cut}-${hash}`;
}

function foldersOf(path: string): string[] {
  const parts = path.split('/').slice(0, -1);
  return parts.map((_, i) => folded(parts.slice(0, i + 1).join('/')));
}

/** Note's path → page's path; no two are equal, not even where case does not count. */
export function pagePaths(notes: readonly string[]): Map<string, string> {
  // A folder may be called `a.html`, beside a note `a.md`.
  const used = new Set(notes.flatMap((path) => foldersOf(`notes/${path}`)));
  const pages = new Map<string, string>();
  for (const path of notes) {
    const at = path.lastIndexOf('/') + 1;
    const stem = `notes/${path.slice(0, at)}${shortened(path.slice(at).replace(/\.(md|markdown)$/i, ''))}`;
    let page = `${stem}.html`;
    for (let n = 2; used.has(folded(page)); n++) page = `${stem}-${n}.html`;
    used.add(folded(page));
    pages.set(path, page);
  }
  return pages;
}

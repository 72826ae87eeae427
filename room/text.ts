/** Text as HTML, names as addresses and anchors. */

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => ENTITIES[character] as string);

/** A path as a relative address: each name by itself, so that `#`, `?` and `%` in names do no harm. */
export const addressOf = (path: string): string => path.split('/').map(encodeName).join('/');

function encodeName(name: string): string {
  // A lone surrogate cannot be encoded.
  return encodeURIComponent(name.toWellFormed()).replace(/'/g, '%27');
}

/** What links compare: case and Unicode form do not count. */
export const folded = (name: string): string => name.normalize('NFC').toLowerCase();

/** The anchor of a heading, as common Markdown sites make it. */
export function slugOf(heading: string): string {
  const slug = folded(heading)
    .replace(/[^\p{L}\p{N}\p{M}\s_-]/gu, '')
    .trim()
    .replace(/\s+/g, '-');
  return slug === '' ? 'section' : slug;
}

/** Anchors of a page in order; equal headings get `-1`, `-2` and so on. */
export class Anchors {
  readonly #used = new Set<string>();
  /** Slug → the number that was tried last. */
  readonly #last = new Map<string, number>();

  next(heading: string): string {
    const slug = slugOf(heading);
    let anchor = slug;
    for (let n = (this.#last.get(slug) ?? 0) + 1; this.#used.has(anchor); n++) {
      anchor = `${slug}-${n}`;
      this.#last.set(slug, n);
    }
    this.#used.add(anchor);
    return anchor;
  }
}

/** Whole numbers with commas; not by Intl, which costs more than the page that they stand on. */
export const grouped = (count: number): string => String(count).replace(/(?<=\d)(?=(\d{3})+$)/g, ',');

/** "3 notes", "1 note". */
export const counted = (count: number, one: string, many = `${one}s`): string =>
  `${grouped(count)} ${count === 1 ? one : many}`;

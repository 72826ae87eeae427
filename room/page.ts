/** The frame that all pages share: heading, ways to the other pages, search. One style sheet and one script lie beside them. */
import { counted, escapeHtml, grouped } from './text.ts';

/** Pages besides the notes', in the order of the menu. */
const PAGES = [
  ['index.html', 'Room'],
  ['notes.html', 'Notes'],
  ['decisions.html', 'Decisions'],
  ['tasks.html', 'Tasks'],
  ['runs.html', 'Runs'],
  ['tags.html', 'Tags'],
  ['missing.html', 'Still missing'],
  ['problems.html', 'Problems'],
] as const;

export type PageName = (typeof PAGES)[number][0];

export interface Page {
  readonly title: string;
  /** Its place in the menu; undefined for a note. */
  readonly name?: PageName;
  /** From the page to the top, such as `../`. */
  readonly up: string;
  /** Anchor of the title. */
  readonly anchor?: string;
  /** HTML. */
  readonly main: string;
  /** HTML beside the main part. */
  readonly aside?: string;
}

/** In front of ids of the frame: an anchor of a heading never has a colon. */
const OWN = 'room:';

/** What the menu shows behind a page's name; nothing where there is nothing. */
export type Counts = Readonly<Partial<Record<PageName, number>>>;

function menu(page: Page, counts: Counts): string {
  return PAGES.map(([name, label]) => {
    const count = counts[name];
    const shown = count === undefined ? '' : ` <span class="count">${grouped(count)}</span>`;
    const current = page.name === name ? ' aria-current="page"' : '';
    return `<li><a href="${page.up}${name}"${current}>${label}${shown}</a></li>`;
  }).join('');
}

export function pageHtml(page: Page, room: { readonly name: string; readonly counts: Counts }): string {
  const title = escapeHtml(page.title);
  const name = escapeHtml(room.name);
  const id = page.anchor === undefined ? '' : ` id="${escapeHtml(page.anchor)}"`;
  return `<!doctype html>
<html lang="en" data-up="${page.up}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${page.title === room.name ? title : `${title} · ${name}`}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${page.up}_room/style.css">
<script defer src="${page.up}_room/search.js"></script>
</head>
<body>
<a class="skip" href="#${OWN}main">To the text</a>
<header>
<nav aria-label="Room"><ul>${menu(page, room.counts)}</ul></nav>
<search hidden id="${OWN}search">
<label for="${OWN}words">Search</label>
<input type="search" id="${OWN}words" autocomplete="off" placeholder="words, a #tag">
<p id="${OWN}told" role="status"></p>
<ol id="${OWN}found"></ol>
</search>
</header>
<div class="frame${page.aside === undefined ? '' : ' with-aside'}">
<main id="${OWN}main" tabindex="-1">
<h1${id}>${title}</h1>
${page.main}
</main>
${page.aside === undefined ? '' : `<aside aria-label="About this note">\n${page.aside}\n</aside>`}
</div>
</body>
</html>
`;
}

/** A list that says so when it is empty. */
export function listHtml(items: readonly string[], empty: string): string {
  return items.length === 0
    ? `<p class="quiet">${escapeHtml(empty)}</p>`
    : `<ul>${items.map((item) => `<li>${item}</li>`).join('\n')}</ul>`;
}

/** Cells are HTML; the first row is the head. */
export function tableHtml(label: string, rows: readonly (readonly string[])[]): string {
  const [head = [], ...body] = rows;
  const line = (cells: readonly string[], tag: 'th' | 'td') =>
    `<tr>${cells.map((cell) => `<${tag}${tag === 'th' ? ' scope="col"' : ''}>${cell}</${tag}>`).join('')}</tr>`;
  return `<div class="wide" tabindex="0" role="region" aria-label="${escapeHtml(label)}"><table><thead>${line(head, 'th')}</thead>
<tbody>${body.map((cells) => line(cells, 'td')).join('\n')}</tbody></table></div>`;
}

export const sumHtml = (count: number, one: string, many?: string): string =>
  `<p class="quiet">${counted(count, one, many)}</p>`;

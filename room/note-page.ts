/** A note as a page: its text, and beside it what it says of itself, its headings, and who links here. */
import { splitNote } from './front-matter.ts';
import { type Heading, parseNote, type RenderContext, renderLine, renderNote } from './markdown.ts';
import { listHtml, type Page } from './page.ts';
import { type Note, type Room, sourceOf, upFrom } from './room.ts';
import { parseTaskQuery, type Task, tasksOf, UNDERSTOOD } from './task-query.ts';
import { addressOf, counted, escapeHtml } from './text.ts';

export function noteLink(note: Note, up: string): string {
  return `<a href="${up}${addressOf(note.page)}">${escapeHtml(note.title)}</a>`;
}

/** A note's link with its path where its title alone may not tell which note it is. */
export function noteLine(note: Note, up: string): string {
  return `${noteLink(note, up)} <span class="quiet">${escapeHtml(note.path)}</span>`;
}

function contextOf(room: Room, note: Note): RenderContext {
  const context: RenderContext = {
    wiki: (link) => room.wiki(note, link),
    address: (address) => room.address(note, address),
    tasks: (query) => queryHtml(query, room, upFrom(note.page)),
  };
  return context;
}

/** One task as a line, with the way to where it stands. Its links are those of its own note, moved to a page at `up`. */
function taskHtml(task: Task, room: Room, up: string): string {
  const note = room.byPath.get(task.path) as Note;
  const own = contextOf(room, note);
  const down = upFrom(note.page);
  const top = addressOf(note.page.split('/').slice(0, -1).join('/'));
  const move = (href: string) =>
    href.startsWith(down)
      ? `${up}${href.slice(down.length)}`
      : href.startsWith('#')
        ? `${up}${addressOf(note.page)}${href}`
        : `${up}${top}/${href}`;
  const text = renderLine(task.text, {
    ...own,
    wiki: (link) => moved(own.wiki(link), move),
    address: (address) => moved(own.address(address), move),
  });
  const anchor = task.anchor === '' ? '' : `#${encodeURIComponent(task.anchor)}`;
  const where = task.heading === '' ? note.title : `${note.title} › ${task.heading}`;
  const box = `<input type="checkbox" disabled${task.isDone ? ' checked' : ''} aria-label="${task.isDone ? 'done' : 'not done'}">`;
  return `${box} ${text} <a class="where" href="${up}${addressOf(note.page)}${anchor}">${escapeHtml(where)}</a>`;
}

function moved(target: ReturnType<RenderContext['wiki']>, move: (href: string) => string): typeof target {
  return target.kind === 'missing' || target.kind === 'outside' ? target : { ...target, href: move(target.href) };
}

export function tasksHtml(tasks: readonly Task[], room: Room, up: string): string {
  return `<ul class="tasks">${tasks.map((task) => `<li class="task">${taskHtml(task, room, up)}</li>`).join('\n')}</ul>`;
}

/** Many notes may ask for all tasks of many notes. */
const QUERY_SHOWN_MAX = 1000;

/** A fenced `tasks` block. A line that is not understood is shown, and nothing is listed: half an answer would look like a whole one. */
function queryHtml(source: string, room: Room, up: string): string {
  const query = parseTaskQuery(source);
  if (query.errors.length > 0) {
    const lines = query.errors.map((line) => `<code>${escapeHtml(line)}</code>`).join(', ');
    return `<div class="error" role="note"><p>This tasks query has ${counted(query.errors.length, 'line that is', 'lines that are')} not understood: ${lines}</p><p>Understood: ${escapeHtml(UNDERSTOOD)}</p></div>\n`;
  }
  const { found: all, total } = tasksOf(query, room.tasks);
  const found = all.slice(0, QUERY_SHOWN_MAX);
  const sum = found.length < total ? `${found.length} of ${counted(total, 'task')}` : counted(total, 'task');
  return `<div class="query">${found.length === 0 ? '' : tasksHtml(found, room, up)}<p class="quiet">${sum}</p></div>\n`;
}

function properties(note: Note, context: RenderContext, up: string): string {
  const { matter } = note;
  const tag = (name: string) =>
    `<a class="tag" href="${up}tags.html#${encodeURIComponent(name)}">#${escapeHtml(name)}</a>`;
  const rows: [string, string][] = [
    ['date', escapeHtml(matter.date ?? '')],
    ['status', escapeHtml(note.isDecision ? note.status : (matter.status ?? ''))],
    ['tags', note.tags.map(tag).join(' ')],
    ['aliases', escapeHtml(matter.aliases.join(', '))],
    ...matter.properties.map(([name, value]): [string, string] => [name, renderLine(value, context)]),
    ['file', `<code>${escapeHtml(note.path)}</code>`],
  ];
  const shown = rows.filter(([, value]) => value !== '');
  return `<dl>${shown.map(([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${value}</dd>`).join('\n')}</dl>`;
}

function outline(headings: readonly Heading[]): string {
  if (headings.length < 2) return '';
  const items = headings.map(
    ({ level, text, anchor }) =>
      `<li class="level-${level}"><a href="#${encodeURIComponent(anchor)}">${escapeHtml(text)}</a></li>`,
  );
  return `<nav aria-label="On this page" class="outline"><h2>On this page</h2><ul>${items.join('\n')}</ul></nav>`;
}

const BACKLINKS_SHOWN_MAX = 200;

function backlinks(note: Note, room: Room, up: string): string {
  const from = Array.from(room.backlinks.get(note.path) ?? []);
  const items = from.slice(0, BACKLINKS_SHOWN_MAX).map((path) => noteLink(room.byPath.get(path) as Note, up));
  const more = from.length - items.length;
  if (more > 0) items.push(`and ${counted(more, 'other note')}`);
  return `<section class="backlinks"><h2>Linked from</h2>${listHtml(items, 'No note links here.')}</section>`;
}

export function notePage(note: Note, room: Room, problems: readonly string[]): Page {
  const up = upFrom(note.page);
  const context = contextOf(room, note);
  const { body } = splitNote(sourceOf(note.file).source);
  const parsed = parseNote(note.path, body, note.matter.title);
  const errors =
    problems.length === 0 ? '' : `<div class="error" role="note">${listHtml(problems.map(escapeHtml), '')}</div>\n`;
  return {
    title: note.title,
    up,
    ...(parsed.title && { anchor: parsed.title.anchor }),
    main: `${errors}<article>\n${renderNote(parsed, context)}</article>`,
    aside: [properties(note, context, up), outline(parsed.headings), backlinks(note, room, up)].join('\n'),
  };
}

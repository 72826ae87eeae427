/** The pages of a room that are not notes. */
import type { Problem } from './folder.ts';
import { noteLine, noteLink, tasksHtml } from './note-page.ts';
import { listHtml, type Page, sumHtml, tableHtml } from './page.ts';
import type { Note, Room } from './room.ts';
import { counted, escapeHtml, folded, grouped } from './text.ts';

const RECENT_MAX = 12;

const homeNames = ['index', 'readme', 'home', 'start'];

/** The note that a reader should see first: at the top, by one of the usual names. */
const firstNote = (room: Room): Note | undefined =>
  homeNames
    .map((name) => room.notes.find(({ path }) => folded(path) === `${name}.md`))
    .find((note) => note !== undefined);

const newestFirst = (a: Note, b: Note) => ((a.matter.date ?? '') < (b.matter.date ?? '') ? 1 : -1);

export function homePage(room: Room): Page {
  const first = firstNote(room);
  const open = room.tasks.filter(({ isDone }) => !isDone);
  const recent = room.notes.filter(({ matter }) => matter.date !== undefined).sort(newestFirst);
  const dated = (note: Note) => `<time>${note.matter.date ?? ''}</time> ${noteLink(note, '')}`;
  const facts = [
    [counted(room.notes.length, 'note'), 'notes.html'],
    [counted(room.decisions.length, 'decision'), 'decisions.html'],
    [counted(open.length, 'open task'), 'tasks.html'],
    [
      counted(
        room.runGroups.reduce((sum, { runs }) => sum + runs.length, 0),
        'run',
      ),
      'runs.html',
    ],
    [counted(room.missing.length, 'document still missing', 'documents still missing'), 'missing.html'],
    [counted(room.problems.length, 'problem'), 'problems.html'],
  ].map(([text, page]) => `<li><a href="${page}">${text}</a></li>`);
  return {
    title: room.name,
    name: 'index.html',
    up: '',
    main: [
      first ? `<p>Start with ${noteLink(first, '')}.</p>` : '',
      `<ul class="facts">${facts.join('')}</ul>`,
      '<h2>Newest decisions</h2>',
      listHtml(
        room.decisions.slice(0, RECENT_MAX).map(dated),
        'There is none: tag a note "decision", or put it below decisions/.',
      ),
      '<h2>Newest notes</h2>',
      listHtml(recent.slice(0, RECENT_MAX).map(dated), 'No note has a date in its front matter.'),
      '<h2>Still missing</h2>',
      missingList(room, RECENT_MAX),
    ].join('\n'),
  };
}

function missingList(room: Room, most: number): string {
  const items = room.missing.slice(0, most).map(({ target, from }) => {
    const notes = Array.from(from, (path) => noteLink(room.byPath.get(path) as Note, ''));
    const more = notes.length > RECENT_MAX ? ` and ${notes.length - RECENT_MAX} more` : '';
    return `<span class="missing">${escapeHtml(target)}</span> <span class="quiet">wanted by</span> ${notes.slice(0, RECENT_MAX).join(', ')}${more}`;
  });
  return listHtml(items, 'Every link leads somewhere.');
}

export function missingPage(room: Room): Page {
  const main = `<p>Documents still missing: links that lead nowhere yet, those that most notes want first.</p>\n${missingList(room, room.missing.length)}`;
  return { title: 'Documents still missing', name: 'missing.html', up: '', main };
}

export function notesPage(room: Room): Page {
  const folders = Map.groupBy(room.notes, ({ path }) => path.slice(0, Math.max(path.lastIndexOf('/'), 0)));
  const sections = Array.from(folders, ([folder, notes]) => {
    const heading = folder === '' ? '' : `<h2>${escapeHtml(folder)}</h2>`;
    return `<section class="folder">${heading}${listHtml(
      notes.map((note) => noteLine(note, '')),
      '',
    )}</section>`;
  });
  return {
    title: 'Notes',
    name: 'notes.html',
    up: '',
    main: [sumHtml(room.notes.length, 'note'), ...sections].join('\n'),
  };
}

export function decisionsPage(room: Room): Page {
  const rows = room.decisions.map((note) => [
    escapeHtml(note.matter.date ?? ''),
    noteLink(note, ''),
    escapeHtml(note.status),
    escapeHtml(note.path),
  ]);
  const main =
    rows.length === 0
      ? '<p class="quiet">There is none: tag a note "decision", or put it below decisions/.</p>'
      : tableHtml('Decisions', [['date', 'decision', 'status', 'file'], ...rows]);
  return { title: 'Decisions', name: 'decisions.html', up: '', main };
}

const TASKS_SHOWN_MAX = 5000;

export function tasksPage(room: Room): Page {
  const part = (title: string, isDone: boolean) => {
    const tasks = room.tasks.filter((task) => task.isDone === isDone);
    const cut = tasks.length > TASKS_SHOWN_MAX ? sumHtml(tasks.length - TASKS_SHOWN_MAX, 'more task') : '';
    const list = tasks.length === 0 ? '' : tasksHtml(tasks.slice(0, TASKS_SHOWN_MAX), room, '');
    return `<h2>${title}</h2>${sumHtml(tasks.length, 'task')}${list}${cut}`;
  };
  return { title: 'Tasks', name: 'tasks.html', up: '', main: `${part('Open', false)}\n${part('Done', true)}` };
}

export function tagsPage(room: Room): Page {
  const sections = Array.from(
    room.tags,
    ([tag, notes]) =>
      `<section><h2 id="${escapeHtml(tag)}">#${escapeHtml(tag)} <span class="count">${grouped(notes.length)}</span></h2>${listHtml(
        notes.map((note) => noteLine(note, '')),
        '',
      )}</section>`,
  );
  const main = sections.length === 0 ? '<p class="quiet">No note has a tag.</p>' : sections.join('\n');
  return { title: 'Tags', name: 'tags.html', up: '', main };
}

export function problemsPage(room: Room): Page {
  const line = ({ path, text }: Problem) => {
    const note = room.byPath.get(path);
    return `${note ? noteLine(note, '') : `<code>${escapeHtml(path)}</code>`} ${escapeHtml(text)}`;
  };
  return {
    title: 'Problems',
    name: 'problems.html',
    up: '',
    main: listHtml(room.problems.map(line), 'There is none.'),
  };
}

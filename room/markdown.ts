/**
 * Notes as HTML, by markdown-it, with what Obsidian adds: `[[wikilinks]]`, `![[embeds]]`, task lists and fenced `tasks`.
 * HTML in notes is shown as text; links lead to notes, files of the room, http(s) or mailto, and nowhere else; nothing is
 * fetched from elsewhere: a remote picture becomes a link.
 */
import markdownIt, { type StateInline, type Token } from 'markdown-it';
import { type Task, tagsIn, taskOf } from './task-query.ts';
import { Anchors, escapeHtml } from './text.ts';

export interface WikiLink {
  readonly target: string;
  /** Without `#`; empty: the page. */
  readonly heading: string;
  /** What is shown; undefined: the target. */
  readonly alias: string | undefined;
  readonly isEmbed: boolean;
}

export interface Heading {
  readonly level: number;
  readonly text: string;
  readonly anchor: string;
}

export interface Parsed {
  readonly tokens: readonly Token[];
  /** The first heading, where it is the note's title; taken out of `tokens`. */
  readonly title: Heading | undefined;
  readonly headings: readonly Heading[];
  readonly tasks: readonly Task[];
  readonly tags: readonly string[];
  readonly wikiLinks: readonly WikiLink[];
  /** Addresses of links and pictures that are not wikilinks, as written. */
  readonly addresses: readonly string[];
  /** For search. */
  readonly text: string;
}

/** Where links of a page lead. */
export type Target =
  | { readonly kind: 'page' | 'file' | 'image' | 'outside'; readonly href: string; readonly note?: string }
  | { readonly kind: 'missing' };

export interface RenderContext {
  wiki(link: WikiLink): Target;
  address(address: string): Target;
  tasks(query: string): string;
}

const SCHEMES = /^(?:https?|mailto):/i;
const md = markdownIt({ html: false, linkify: false, typographer: false });

md.validateLink = (url: string): boolean => {
  const address = url.trim();
  return SCHEMES.test(address) || !/^(?:[a-z][a-z0-9+.-]*:|\/\/|\\)/i.test(address);
};

/** `[[target#heading|alias]]` and `![[…]]`; a `\|` is how Obsidian writes the bar inside of tables. */
function wikiLinkRule(state: StateInline, isSilent: boolean): boolean {
  const match = /^(!?)\[\[([^[\]\n]{1,1000})\]\]/.exec(state.src.slice(state.pos, state.pos + 1010));
  if (!match) return false;
  const [whole, bang, inside] = match as unknown as [string, string, string];
  const [place = '', ...rest] = inside.replaceAll('\\|', '|').split('|');
  const [target = '', ...headings] = place.split('#');
  if (place.trim() === '') return false;
  if (!isSilent) {
    const token = state.push('wikilink', '', 0);
    token.meta = {
      target: target.trim(),
      heading: headings.at(-1)?.trim() ?? '',
      alias: rest.length > 0 ? rest.join('|').trim() || undefined : undefined,
      isEmbed: bang === '!',
    };
  }
  state.pos += whole.length;
  return true;
}
md.inline.ruler.before('link', 'wikilink', wikiLinkRule);

export const wikiLabel = ({ alias, target, heading }: WikiLink): string =>
  alias ?? [target, heading].filter((part) => part !== '').join(' › ');

const wikiLinkOf = (token: Token) => token.meta as unknown as WikiLink;

/** The words of an inline token. */
function wordsOf(tokens: readonly Token[]): string {
  return tokens
    .map((token) => {
      if (token.type === 'wikilink') return wikiLabel(wikiLinkOf(token));
      if (token.type === 'image') return wordsOf(token.children ?? []);
      return token.type === 'softbreak' || token.type === 'hardbreak' ? ' ' : token.content;
    })
    .join('');
}

/** Words outside of code, in which tags count. */
const proseOf = (tokens: readonly Token[]) =>
  tokens.map((token) => (token.type === 'code_inline' ? ' ' : wordsOf([token]))).join('');

function linksIn(tokens: readonly Token[], wikiLinks: WikiLink[], addresses: string[]): void {
  for (const token of tokens) {
    if (token.type === 'wikilink') wikiLinks.push(wikiLinkOf(token));
    if (token.type === 'link_open') addresses.push(String(token.attrGet('href') ?? ''));
    if (token.type === 'image') addresses.push(String(token.attrGet('src') ?? ''));
  }
}

/** The first heading of a note, when it is of level 1 and nothing else is the title. */
function takeTitle(tokens: Token[], wanted: string | undefined): string | undefined {
  if (tokens[0]?.type !== 'heading_open' || tokens[0].tag !== 'h1') return undefined;
  const words = wordsOf(tokens[1]?.children ?? []);
  if (wanted !== undefined && wanted !== words) return undefined;
  tokens.splice(0, 3);
  return words;
}

/** Gives a list item's token a box, and its text without the brackets. */
function markTask(tokens: readonly Token[], inlineAt: number, isDone: boolean): void {
  const [item, inline] = [tokens[inlineAt - 2], tokens[inlineAt]];
  const first = inline?.children?.[0];
  if (item?.type !== 'list_item_open' || !inline?.children || first?.type !== 'text') return;
  item.attrJoin('class', 'task');
  first.content = first.content.replace(/^\[.\]\s+/, '');
  const box = Object.assign(Object.create(Object.getPrototypeOf(first) as object) as Token, first);
  Object.assign(box, { type: 'task_box', content: '', meta: { isDone } });
  inline.children.unshift(box);
}

/** `givenTitle`: the front matter's. Headings are moved down a level where the note has more of the first, for the page has its own. */
export function parseNote(path: string, body: string, givenTitle: string | undefined): Parsed {
  const tokens = md.parse(body, {});
  const anchors = new Anchors();
  const titleText = takeTitle(tokens, givenTitle);
  const title = titleText === undefined ? undefined : { level: 1, text: titleText, anchor: anchors.next(titleText) };
  const down = tokens.some(({ type, tag }) => type === 'heading_open' && tag === 'h1') ? 1 : 0;
  const headings: Heading[] = [];
  const tasks: Task[] = [];
  const [wikiLinks, addresses, words, prose] = [[] as WikiLink[], [] as string[], [] as string[], [] as string[]];
  for (const [i, token] of tokens.entries()) {
    if (token.type === 'fence' || token.type === 'code_block') words.push(token.content);
    if (token.type === 'heading_open' || token.type === 'heading_close')
      token.tag = `h${Math.min(Number(token.tag.slice(1)) + down, 6)}`;
    if (token.type !== 'inline') continue;
    const children = token.children ?? [];
    const before = tokens[i - 1];
    if (before?.type === 'heading_open') {
      const text = wordsOf(children);
      headings.push({ level: Number(before.tag.slice(1)), text, anchor: anchors.next(text) });
      before.attrSet('id', headings.at(-1)?.anchor as string);
    }
    linksIn(children, wikiLinks, addresses);
    const near = headings.at(-1) ?? title;
    const isItem = tokens[i - 2]?.type === 'list_item_open' && before?.type === 'paragraph_open';
    const task = isItem
      ? taskOf(token.content, { path, heading: near?.text ?? '', anchor: near?.anchor ?? '' })
      : undefined;
    if (task) {
      tasks.push(task);
      markTask(tokens, i, task.isDone);
    }
    words.push(wordsOf(token.children ?? []));
    prose.push(proseOf(token.children ?? []));
  }
  const tags = tagsIn(prose.join('\n'));
  return { tokens, title, headings, tasks, tags, wikiLinks, addresses, text: words.join('\n') };
}

/** Links of a line of Markdown, such as a property's. */
export function parseLine(line: string): { wikiLinks: WikiLink[]; addresses: string[] } {
  const [wikiLinks, addresses] = [[] as WikiLink[], [] as string[]];
  for (const token of md.parseInline(line, {})) linksIn(token.children ?? [], wikiLinks, addresses);
  return { wikiLinks, addresses };
}

const contextOf = (env: object | undefined) => env as unknown as RenderContext;
const missing = (label: string) => `<span class="missing" title="This document is still missing">${label}</span>`;

md.renderer.rules['wikilink'] = (tokens, at, _, env) => {
  const link = wikiLinkOf(tokens[at] as Token);
  const target = contextOf(env).wiki(link);
  const label = escapeHtml(wikiLabel(link));
  if (target.kind === 'missing') return missing(label);
  const href = escapeHtml(target.href);
  // `![[photo.png|300]]`: the number is a width.
  const width = /^\d{1,4}$/.test(link.alias ?? '') ? ` width="${link.alias}"` : '';
  const alt = width === '' ? label : escapeHtml(link.target);
  if (target.kind === 'image' && link.isEmbed) return `<img src="${href}" alt="${alt}"${width} loading="lazy">`;
  return `<a href="${href}"${target.note === undefined ? '' : ` title="${escapeHtml(target.note)}"`}>${label}</a>`;
};

md.renderer.rules['task_box'] = (tokens, at) => {
  const isDone = (tokens[at]?.meta as { isDone?: boolean } | null)?.isDone === true;
  return `<input type="checkbox" disabled${isDone ? ' checked' : ''} aria-label="${isDone ? 'done' : 'not done'}"> `;
};

md.renderer.rules['link_open'] = (tokens, at, options, env, renderer) => {
  const token = tokens[at] as Token;
  const target = contextOf(env).address(String(token.attrGet('href') ?? ''));
  if (target.kind !== 'missing') {
    token.attrSet('href', target.href);
    if (target.kind === 'outside') token.attrSet('rel', 'noreferrer');
    return renderer.renderToken(tokens, at, options);
  }
  const close = tokens.slice(at).find(({ type }) => type === 'link_close');
  if (close) close.tag = 'span';
  return '<span class="missing" title="This document is still missing">';
};

md.renderer.rules['image'] = (tokens, at, _, env) => {
  const token = tokens[at] as Token;
  const target = contextOf(env).address(String(token.attrGet('src') ?? ''));
  const label = escapeHtml(wordsOf(token.children ?? []));
  if (target.kind === 'missing') return missing(label || 'picture');
  const href = escapeHtml(target.href);
  if (target.kind === 'image') return `<img src="${href}" alt="${label}" loading="lazy">`;
  return `<a href="${href}" rel="noreferrer">${label || 'picture'}</a>`;
};

const fence = md.renderer.rules['fence'];
md.renderer.rules['fence'] = (tokens, at, options, env, renderer) => {
  const token = tokens[at] as Token;
  if (/^tasks\s*$/.test(token.info)) return contextOf(env).tasks(token.content);
  return fence?.(tokens, at, options, env, renderer).replace('<pre>', '<pre tabindex="0">') ?? '';
};
md.renderer.rules['code_block'] = (tokens, at) =>
  `<pre tabindex="0"><code>${escapeHtml(tokens[at]?.content ?? '')}</code></pre>\n`;
md.renderer.rules['table_open'] = () => '<div class="wide" tabindex="0"><table>\n';
md.renderer.rules['table_close'] = () => '</table></div>\n';

export function renderNote(parsed: Parsed, context: RenderContext): string {
  return md.renderer.render([...parsed.tokens], md.options as never, context as never);
}

export function renderLine(line: string, context: RenderContext): string {
  return md.renderInline(line, context as never);
}

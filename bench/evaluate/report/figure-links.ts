/** A figure where it is spoken of: the text links to its cell in the details, and carries the id by which a script finds it in the results. */
import { figureText } from '../figure-text.ts';
import type { Claim } from '../recommendation.ts';
import type { EvaluatedFigure, Results } from '../results.ts';
import { anchorOf, escapeHtml } from './html.ts';

export class FigureLinks {
  readonly #figures: ReadonlyMap<string, EvaluatedFigure>;
  readonly #page: string;

  /** `page`: the file in which the details are; empty where they are in this one. */
  constructor(results: Results, page: string) {
    this.#figures = new Map(results.figures.map((figure) => [figure.id, figure]));
    this.#page = page;
  }

  /** The figure as a link; `text` in its place where what is said is made of it. Nothing was measured under an id: it says so. */
  link(id: string, text?: string): string {
    const figure = this.#figures.get(id);
    if (figure === undefined) return '<span class="soft">not measured</span>';
    const busy = figure.isBusy ? ' <span class="unknown">(busy)</span>' : '';
    const shown = escapeHtml(text ?? figureText(figure));
    return `<a href="${this.#page}#${escapeHtml(anchorOf(id))}" data-figure="${escapeHtml(id)}">${shown}</a>${busy}`;
  }

  /** A claim as HTML; what it rests on beside the figures in it follows as numbered links. */
  claim({ parts, restsOn }: Claim): string {
    const said = parts.map((part) => (typeof part === 'string' ? escapeHtml(part) : this.link(part.figure))).join('');
    if (restsOn.length === 0) return said;
    const links = restsOn.map((id, i) => this.link(id, String(i + 1))).join(' ');
    return `${said} <span class="soft">From figures ${links}.</span>`;
  }
}

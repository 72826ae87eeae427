/** Runs of benches: per scenario, machine and parameters the newest figures in a table, and each figure over time. */
import { type Figure, shown } from '../bench/result.ts';
import { historySvg } from './history-plot.ts';
import { type Page, tableHtml } from './page.ts';
import { filePage, type Room } from './room.ts';
import type { Run, RunGroup } from './runs.ts';
import { addressOf, counted, escapeHtml } from './text.ts';

const withUnit = (value: string, unit: string) => (unit === '' ? value : `${value} ${unit}`);

function target({ target: bound }: Figure): string {
  if (bound === undefined) return '';
  return 'atLeast' in bound ? `≥ ${shown(bound.atLeast)}` : `≤ ${shown(bound.atMost)}`;
}

function figureRow(name: string, figure: Figure): string[] {
  const interval = figure.low === figure.high ? '' : `${shown(figure.low)}–${shown(figure.high)}`;
  return [
    `<code>${escapeHtml(name)}</code>`,
    escapeHtml(withUnit(shown(figure.median), figure.unit)),
    interval,
    target(figure),
    `<span class="verdict ${figure.verdict}">${figure.verdict}</span>`,
    escapeHtml(figure.beside ?? ''),
  ];
}

/** Newest figure of each name, in the order of the newest run. */
function newest(runs: readonly Run[]): Map<string, Figure> {
  const figures = new Map<string, Figure>();
  for (const run of runs.toReversed())
    for (const [name, figure] of Object.entries(run.figures)) if (!figures.has(name)) figures.set(name, figure);
  return figures;
}

function history(name: string, figure: Figure, runs: readonly Run[]): string {
  const moments = runs.flatMap((run) => {
    const then = run.figures[name];
    // A figure that changed its unit is another figure.
    return then?.unit === figure.unit ? [{ atMs: Date.parse(run.environment.date), ...then }] : [];
  });
  if (moments.length < 2) return '';
  const caption = escapeHtml(withUnit(name, figure.unit && `(${figure.unit})`));
  return `<figure>${historySvg({ name, unit: figure.unit, target: figure.target, moments })}<figcaption>${caption}</figcaption></figure>`;
}

function groupHtml(group: RunGroup, room: Room): string {
  const figures = newest(group.runs);
  const last = group.runs.at(-1) as Run;
  const copied = room.linkedFiles.some(({ path }) => path === last.path);
  const file = copied
    ? `<a href="${addressOf(filePage(last.path))}">${escapeHtml(last.path)}</a>`
    : `<code>${escapeHtml(last.path)}</code>`;
  const plots = Array.from(figures, ([name, figure]) => history(name, figure, group.runs)).filter(
    (plot) => plot !== '',
  );
  const over =
    plots.length === 0
      ? '<p class="quiet">A second run will show how figures change.</p>'
      : `<div class="plots">${plots.join('\n')}</div>`;
  const { date, commit, node } = last.environment;
  return `<section class="run"><h2>${escapeHtml(group.scenario)}</h2>
<p>${counted(group.runs.length, 'run')} on ${escapeHtml(group.machine)}${group.parameters === '' ? '' : `; ${escapeHtml(group.parameters)}`}.
Newest: <time>${escapeHtml(date)}</time>, commit <code>${escapeHtml(String(commit))}</code>, Node ${escapeHtml(String(node))}, ${file}.</p>
${tableHtml(`Figures of ${group.scenario}`, [['figure', 'median', 'interval', 'target', 'verdict', 'beside'], ...Array.from(figures, ([name, figure]) => figureRow(name, figure))])}
${over}</section>`;
}

export function runsPage(room: Room): Page {
  const main =
    room.runGroups.length === 0
      ? '<p class="quiet">There is none: put what `forebay bench … --json FILE` writes into this folder, or name another with --runs.</p>'
      : `<p>Figures of other scenarios, machines or parameters are not comparable and stand apart.</p>\n${room.runGroups.map((group) => groupHtml(group, room)).join('\n')}`;
  return { title: 'Runs', name: 'runs.html', up: '', main };
}

/** One figure over time, as inline SVG that takes its colours from the page: medians in a line, intervals, the target. */

import { shown } from '../bench/result.ts';
import type { Target } from '../bench/statistics.ts';
import { escapeHtml } from './text.ts';

export interface Moment {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

const [WIDTH, HEIGHT] = [360, 170];
const [LEFT, RIGHT, TOP, BOTTOM] = [62, 14, 12, 28];

const round = (value: number) => Math.round(value * 10) / 10;
const day = (atMs: number) => new Date(atMs).toISOString().slice(0, 10);

export function historySvg(plot: {
  readonly name: string;
  readonly unit: string;
  readonly target: Target | undefined;
  /** Oldest first; at least one. */
  readonly moments: readonly Moment[];
}): string {
  const { moments, target } = plot;
  const bound = target && ('atLeast' in target ? target.atLeast : target.atMost);
  const values = [
    ...moments.flatMap(({ low, high, median }) => [low, high, median]),
    ...(bound === undefined ? [] : [bound]),
  ];
  const least = Math.min(0, ...values);
  const most = Math.max(...values, least + Number.MIN_VALUE);
  const first = moments[0]?.atMs ?? 0;
  const span = (moments.at(-1)?.atMs ?? first) - first;
  const x = (atMs: number) =>
    round(LEFT + 8 + (span === 0 ? 0.5 : (atMs - first) / span) * (WIDTH - LEFT - RIGHT - 16));
  const y = (value: number) =>
    round(HEIGHT - BOTTOM - ((value - least) / (most - least || 1)) * (HEIGHT - TOP - BOTTOM));
  const last = moments.at(-1);
  const told = `${plot.name} over ${moments.length} runs, newest ${shown(last?.median ?? 0)} ${plot.unit}`.trim();
  const line = moments.map(({ atMs, median }, i) => `${i === 0 ? 'M' : 'L'}${x(atMs)} ${y(median)}`).join('');
  const text = (at: string, content: string, more = '') => `<text ${at} ${more}>${escapeHtml(content)}</text>`;
  return [
    `<svg class="plot" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(told)}">`,
    `<path class="axis" d="M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - RIGHT}"/>`,
    text(`x="${LEFT - 6}" y="${y(most) + 4}"`, shown(most), 'text-anchor="end"'),
    text(`x="${LEFT - 6}" y="${y(least) + 4}"`, shown(least), 'text-anchor="end"'),
    text(`x="${LEFT}" y="${HEIGHT - 8}"`, day(first)),
    ...(span === 0 ? [] : [text(`x="${WIDTH - RIGHT}" y="${HEIGHT - 8}"`, day(first + span), 'text-anchor="end"')]),
    ...(bound === undefined
      ? []
      : [
          `<path class="bound" d="M${LEFT} ${y(bound)}H${WIDTH - RIGHT}"/>`,
          text(
            `x="${WIDTH - RIGHT}" y="${y(bound) + (y(bound) < TOP + 14 ? 13 : -4)}"`,
            `target ${target && 'atLeast' in target ? '≥' : '≤'} ${shown(bound)}`,
            'text-anchor="end" class="bound-label"',
          ),
        ]),
    ...moments.map(({ atMs, low, high }) => `<path class="interval" d="M${x(atMs)} ${y(low)}V${y(high)}"/>`),
    `<path class="line" d="${line}"/>`,
    ...moments.map(({ atMs, median }) => `<circle class="dot" cx="${x(atMs)}" cy="${y(median)}" r="3"/>`),
    '</svg>',
  ].join('');
}

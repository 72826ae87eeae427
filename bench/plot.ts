/** Small plots as inline SVG: no script, no font, no other file; readable in light and dark. */
import { shown } from './result.ts';

const WIDTH = 640;
const COLOURS = ['#2f7ed8', '#8a8d93', '#d9822b', '#4c9f70', '#8e5bc0'] as const;

const escapeText = (text: string) =>
  text.replace(/[<>&"]/g, (c) => ({ '<': '&lt;', '>': '&gt;', '&': '&amp;', '"': '&quot;' })[c] as string);

const text = (x: number, y: number, content: string, more = '') =>
  `<text x="${round(x)}" y="${round(y)}" ${more}>${escapeText(content)}</text>`;

const round = (value: number) => Math.round(value * 10) / 10;

function frame(height: number, title: string, body: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escapeText(title)}" font-family="system-ui, sans-serif" font-size="13" fill="#6b7078">`,
    text(0, 16, title, 'font-weight="600" font-size="15"'),
    ...body,
    '</svg>',
    '',
  ].join('\n');
}

export interface Bar {
  readonly label: string;
  readonly value: number;
  readonly low?: number;
  readonly high?: number;
  /** Index into the colours; absent: one after the other. */
  readonly colour?: number;
}

/** Horizontal bars from zero, with the interval as a line across the end of each. */
export function barsSvg(plot: { title: string; unit: string; bars: readonly Bar[] }): string {
  const left = 170;
  const right = 110;
  const most = Math.max(...plot.bars.map((bar) => bar.high ?? bar.value), Number.MIN_VALUE);
  const x = (value: number) => left + (value / most) * (WIDTH - left - right);
  const body = plot.bars.flatMap((bar, i) => {
    const y = 32 + i * 28;
    const colour = COLOURS[(bar.colour ?? i) % COLOURS.length] as string;
    const interval =
      bar.low === undefined || bar.high === undefined
        ? []
        : [`<path d="M${round(x(bar.low))} ${y + 9}H${round(x(bar.high))}" stroke="#333" stroke-width="2"/>`];
    return [
      text(left - 8, y + 14, bar.label, 'text-anchor="end"'),
      `<rect x="${left}" y="${y}" width="${round(x(bar.value) - left)}" height="18" rx="2" fill="${colour}"/>`,
      ...interval,
      text(x(bar.high ?? bar.value) + 6, y + 14, `${shown(bar.value)} ${plot.unit}`),
    ];
  });
  return frame(32 + plot.bars.length * 28 + 4, plot.title, body);
}

export interface MarkRow {
  readonly label: string;
  /** In the order of the kinds; absent where there is none. */
  readonly marks: readonly ({ readonly value: number; readonly low: number; readonly high: number } | undefined)[];
}

const SHAPES: readonly ((x: number, y: number) => string)[] = [
  (x, y) => `M${x - 5} ${y}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0Z`,
  (x, y) => `M${x - 5} ${y - 5}h10v10h-10Z`,
  (x, y) => `M${x} ${y - 6}l6 11h-12Z`,
  (x, y) => `M${x} ${y - 6}l6 6l-6 6l-6 -6Z`,
];

/** Marks of several kinds per row over one logarithmic axis, each with its interval; kinds differ in shape and colour. Values are above 0. */
export function marksSvg(plot: {
  title: string;
  unit: string;
  kinds: readonly string[];
  rows: readonly MarkRow[];
}): string {
  const [left, right, top, step] = [170, 24, 56, 13];
  const all = plot.rows.flatMap(({ marks }) =>
    marks.flatMap((mark) => (mark ? [mark.low, mark.value, mark.high] : [])),
  );
  const least = Math.min(...all) / 1.25;
  const span = Math.log((Math.max(...all) * 1.25) / least);
  const x = (value: number) => round(left + (Math.log(value / least) / span) * (WIDTH - left - right));
  const rowHeight = plot.kinds.length * step + 10;
  const bottom = top + plot.rows.length * rowHeight;
  const mark = (kind: number, at: number, y: number) => {
    const shape = SHAPES[kind % SHAPES.length] as (x: number, y: number) => string;
    return `<path d="${shape(at, y)}" fill="${COLOURS[kind % COLOURS.length]}"/>`;
  };
  const legend = plot.kinds.flatMap((kind, i) => [mark(i, 8 + i * 150, 34), text(20 + i * 150, 39, kind)]);
  const ticks = [1e-3, 1e-2, 0.1, 1, 10, 100, 1e3, 1e4]
    .flatMap((ten) => [ten, 2 * ten, 5 * ten])
    .filter((tick) => tick > least && x(tick) < WIDTH - right);
  const grid = ticks.flatMap((tick) => [
    `<path d="M${x(tick)} ${top - 4}V${bottom}" stroke="#999" stroke-opacity="0.3"/>`,
    text(x(tick), bottom + 16, `${shown(tick)}${tick === ticks.at(-1) ? ` ${plot.unit}` : ''}`, 'text-anchor="middle"'),
  ]);
  const rows = plot.rows.flatMap(({ label, marks }, i) => {
    const y = top + i * rowHeight;
    return [
      `<path d="M0 ${y - 4}H${WIDTH}" stroke="#999" stroke-opacity="0.3"/>`,
      text(left - 8, y + rowHeight / 2, label, 'text-anchor="end"'),
      ...marks.flatMap((one, kind) => {
        if (one === undefined) return [];
        const at = round(y + 8 + kind * step);
        return [
          `<path d="M${x(one.low)} ${at}H${x(one.high)}" stroke="#333" stroke-width="2"/>`,
          mark(kind, x(one.value), at),
        ];
      }),
    ];
  });
  return frame(bottom + 24, plot.title, [...legend, ...grid, ...rows]);
}

export interface Series {
  /** Empty: without one, such as the further lines of a group. */
  readonly label: string;
  /** Index into the colours; absent: one after the other. */
  readonly colour?: number;
  readonly points: readonly (readonly [number, number])[];
}

/** Lines over a common axis from zero, with a bound that they must stay below. */
export function seriesSvg(plot: {
  title: string;
  x: string;
  y: string;
  limit?: { value: number; label: string };
  series: readonly Series[];
}): string {
  const height = 260;
  const [left, right, top, bottom] = [64, 16, 34, 36];
  const points = plot.series.flatMap((series) => series.points);
  const xMost = Math.max(...points.map(([x]) => x), Number.MIN_VALUE);
  const yMost = 1.05 * Math.max(...points.map(([, y]) => y), plot.limit?.value ?? 0, Number.MIN_VALUE);
  const x = (value: number) => round(left + (value / xMost) * (WIDTH - left - right));
  const y = (value: number) => round(height - bottom - (value / yMost) * (height - top - bottom));
  const body = [
    `<path d="M${left} ${top}V${height - bottom}H${WIDTH - right}" fill="none" stroke="#999"/>`,
    text(left - 6, y(yMost / 1.05) + 4, shown(yMost / 1.05), 'text-anchor="end"'),
    text(left - 6, y(0) + 4, '0', 'text-anchor="end"'),
    text(left + 6, top + 4, plot.y),
    text(WIDTH - right, height - bottom + 18, `${shown(xMost)} ${plot.x}`, 'text-anchor="end"'),
  ];
  if (plot.limit) {
    const at = y(plot.limit.value);
    body.push(`<path d="M${left} ${at}H${WIDTH - right}" stroke="#c0392b" stroke-dasharray="5 4"/>`);
    body.push(text(WIDTH - right, at - 5, plot.limit.label, 'text-anchor="end" fill="#c0392b"'));
  }
  let labels = 0;
  for (const [i, series] of plot.series.entries()) {
    const colour = COLOURS[(series.colour ?? i) % COLOURS.length] as string;
    const path = series.points.map(([px, py], n) => `${n === 0 ? 'M' : 'L'}${x(px)} ${y(py)}`).join('');
    body.push(`<path d="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    if (series.label !== '') body.push(text(left + 6 + labels++ * 152, height - 6, series.label, `fill="${colour}"`));
  }
  return frame(height, plot.title, body);
}

export interface Span {
  readonly from: number;
  readonly to: number;
  /** Index into the names of the plot. */
  readonly kind: number;
}

const SPAN_COLOURS = ['#8a8d93', '#c0392b', '#2f7ed8', '#4c9f70'] as const;

/** What each row goes through over a common time: spans in the colours of their kinds, which a legend names. */
export function spansSvg(plot: {
  title: string;
  unit: string;
  kinds: readonly string[];
  rows: readonly { readonly label: string; readonly spans: readonly Span[]; readonly note: string }[];
}): string {
  const [left, right, top] = [170, 150, 56];
  const most = Math.max(...plot.rows.flatMap(({ spans }) => spans.map(({ to }) => to)), Number.MIN_VALUE);
  const x = (value: number) => left + (value / most) * (WIDTH - left - right);
  const legend = plot.kinds.flatMap((kind, i) => [
    `<rect x="${left + i * 112}" y="28" width="12" height="12" rx="2" fill="${SPAN_COLOURS[i]}"/>`,
    text(left + 17 + i * 112, 39, kind),
  ]);
  const rows = plot.rows.flatMap(({ label, spans, note }, i) => {
    const y = top + i * 28;
    return [
      text(left - 8, y + 14, label, 'text-anchor="end"'),
      ...spans.map(({ from, to, kind }) => {
        const width = Math.max(round(x(to) - x(from)), 1);
        return `<rect x="${round(x(from))}" y="${y}" width="${width}" height="18" fill="${SPAN_COLOURS[kind]}"/>`;
      }),
      text(x(Math.max(...spans.map(({ to }) => to))) + 6, y + 14, note),
    ];
  });
  const bottom = top + plot.rows.length * 28;
  const axis = [
    `<path d="M${left} ${bottom + 2}H${WIDTH - right}" stroke="#999"/>`,
    text(left, bottom + 18, '0'),
    text(WIDTH - right, bottom + 18, `${shown(most)} ${plot.unit}`, 'text-anchor="end"'),
  ];
  return frame(bottom + 26, plot.title, [...legend, ...rows, ...axis]);
}

/** Rows of cells; the first row is the head, the first column names the rows. Cells that begin with `!` are bad news. */
export function tableSvg(plot: { title: string; rows: readonly (readonly string[])[] }): string {
  const columns = plot.rows[0]?.length ?? 1;
  const first = 190;
  const width = (WIDTH - first) / Math.max(columns - 1, 1);
  const body = plot.rows.flatMap((row, i) => {
    const y = 46 + i * 26;
    const line = `<path d="M0 ${y + 8}H${WIDTH}" stroke="#999" stroke-opacity="${i === 0 ? 1 : 0.3}"/>`;
    const cells = row.map((cell, column) => {
      const bad = cell.startsWith('!');
      const style = `${i === 0 ? 'font-weight="600" ' : ''}${bad ? 'fill="#c0392b" font-weight="600" ' : ''}`;
      const content = bad ? cell.slice(1) : cell;
      return column === 0
        ? text(0, y, content, style)
        : text(first + column * width - 8, y, content, `${style}text-anchor="end"`);
    });
    return [...cells, line];
  });
  return frame(46 + plot.rows.length * 26, plot.title, body);
}

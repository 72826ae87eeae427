import type { EvaluatedFigure } from './results.ts';

/** A figure as people read it: `9.31 s (9.10–9.52)`. */
export function figureText({
  median,
  low,
  high,
  unit,
}: Pick<EvaluatedFigure, 'median' | 'low' | 'high' | 'unit'>): string {
  const digits = (value: number) =>
    value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(value < 0.1 && value > 0 ? 3 : 2);
  const range = low === high ? '' : ` (${digits(low)}–${digits(high)})`;
  return `${digits(median)}${unit === 's' ? ' s' : ''}${range}`;
}

/** One plot per scenario: of what was measured, and of nothing else. */
import { barsSvg, marksSvg } from '../../plot.ts';
import { cellOf, countedS, figureOf } from '../figures-of.ts';
import { type EvaluatedScenario, MEASURES, type Measure, type Results } from '../results.ts';
import { MEASURE_WORDS, SCENARIO_WORDS } from '../words.ts';

/** What fits beside a plot. */
const LABEL_MAX = 25;
const labelOf = (name: string) => {
  const letters = Array.from(name);
  return letters.length <= LABEL_MAX ? name : `${letters.slice(0, LABEL_MAX - 1).join('')}…`;
};

/** Inline SVG; `undefined` where nobody was measured. `choice` stands out. Bars from zero where one measure counts, else marks over a logarithmic axis. */
export function scenarioPlot(
  results: Results,
  { name, weights }: EvaluatedScenario,
  choice: readonly string[],
): string | undefined {
  const measured = results.candidates.filter(
    (candidate) => cellOf(results, name, candidate.name).status === 'measured',
  );
  const all = MEASURES[name] as readonly Measure[];
  const weighted = all.filter((measure) => (weights[measure] ?? 0) > 0);
  const measures = weighted.length > 0 ? weighted : all;
  const rows = measured
    .map((candidate) => ({
      label: labelOf(candidate.name),
      colour: choice.includes(candidate.name) ? 0 : 1,
      figures: measures.map((measure) => figureOf(results, name, candidate.name, measure)),
    }))
    .filter(({ figures }) => figures.some((figure) => figure !== undefined));
  if (rows.length === 0) return undefined;
  const title = `${SCENARIO_WORDS[name].title}, seconds: less is better`;
  const [only] = measures;
  if (measures.length === 1 && only !== undefined) {
    const bars = rows.flatMap(({ label, colour, figures: [figure] }) =>
      figure ? [{ label, value: figure.median, low: figure.low, high: figure.high, colour }] : [],
    );
    return barsSvg({ title, unit: 's', bars });
  }
  return marksSvg({
    title,
    unit: 's',
    kinds: measures.map((measure) => MEASURE_WORDS[measure].brief),
    rows: rows.map(({ label, figures }) => ({
      label,
      marks: figures.map(
        (figure) =>
          figure && { value: countedS(figure.median), low: countedS(figure.low), high: countedS(figure.high) },
      ),
    })),
  });
}

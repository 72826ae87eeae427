/** What is read in the first five minutes: the answer, one plot per scenario, who was measured in what, what was not and why, how to repeat it. */
import type { Conclusion } from '../conclusion.ts';
import { cellOf, figureOf } from '../figures-of.ts';
import { MEASURES, type Measure, type Results, type ScenarioName } from '../results.ts';
import { gapText } from '../standing.ts';
import { MEASURE_WORDS, SCENARIO_WORDS } from '../words.ts';
import type { FigureLinks } from './figure-links.ts';
import { cell, escapeHtml, htmlTable, rowHead } from './html.ts';
import { scenarioPlot } from './plots.ts';

const VERDICT_WORDS = {
  recommended: 'Recommendation',
  inconclusive: 'Inconclusive',
  nobody: 'No recommendation',
} as const;

export function answerBox({ recommendation, requirements }: Conclusion): string {
  const ready =
    requirements &&
    `<p class="${requirements.readiness.isReady ? 'green' : 'unknown'}">${escapeHtml(sentence(requirements.readiness.text))}</p>`;
  return `<div class="answer ${recommendation.outcome}">
<p class="soft">${VERDICT_WORDS[recommendation.outcome]}</p>
<p><strong>${escapeHtml(recommendation.answer)}</strong></p>
${ready ?? ''}
</div>`;
}

const sentence = (text: string) => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;

export function claimList({ recommendation }: Conclusion, links: FigureLinks): string {
  if (recommendation.claims.length === 0) return '';
  return `<ul>\n${recommendation.claims.map((claim) => `<li>${links.claim(claim)}</li>`).join('\n')}\n</ul>`;
}

/** One clause on what ran where. */
export function settingText({ nodes, linkMbit, originLinks, shaping, rounds, environment }: Results): string {
  const origin = originLinks === 1 ? 'an origin with one such link' : `an origin with ${originLinks} such links`;
  return `${nodes} nodes behind links of ${linkMbit} Mbit/s and ${origin}, shaped in ${shaping}; ${rounds === 1 ? '1 round' : `${rounds} rounds`} in which the candidates took turns; one machine with ${environment.cores} cores, ${environment.date.slice(0, 10)}.`;
}

export function plotFigures({ results, recommendation }: Conclusion): string {
  const figures = results.scenarios.map((scenario) => {
    const { title, about } = SCENARIO_WORDS[scenario.name];
    const plot =
      scenarioPlot(results, scenario, recommendation.choice) ?? '<p>Nobody was measured in this scenario.</p>';
    return `<figure>\n<div class="scroll" role="region" tabindex="0" aria-label="Plot: ${title}">${plot}</div><figcaption>${title}: ${about}; ${mebibytes(scenario.sizeBytes)} per trial. Lines are the intervals of the medians.</figcaption>\n</figure>`;
  });
  return `<div class="plots">\n${figures.join('\n')}\n</div>`;
}

const mebibytes = (size: number): string => (size >= 2 ** 20 ? `${Math.round(size / 2 ** 20)} MiB` : `${size} bytes`);

export function matrix({ results, recommendation }: Conclusion, links: FigureLinks): string {
  const rows = recommendation.standings.map(({ candidate, score, isEligible }) => ({
    cells: [
      rowHead(candidate),
      ...results.scenarios.map(({ name }) => cell(matrixCell(results, { scenario: name, candidate }, links))),
      cell(score === undefined ? '–' : score.toFixed(2)),
      cell(isEligible ? '<span class="green">yes</span>' : '<span class="soft">no</span>'),
    ],
    isFront: recommendation.choice.includes(candidate),
  }));
  return htmlTable(
    'Candidates and scenarios',
    ['Candidate', ...results.scenarios.map(({ name }) => SCENARIO_WORDS[name].title), 'Score', 'Eligible'],
    rows,
  );
}

function matrixCell(
  results: Results,
  { scenario, candidate }: { scenario: ScenarioName; candidate: string },
  links: FigureLinks,
): string {
  const { status } = cellOf(results, scenario, candidate);
  if (status !== 'measured')
    return `<span class="${status === 'failed' || status === 'not cold' ? 'red' : 'soft'}">${status}</span>`;
  const weights = results.scenarios.find(({ name }) => name === scenario)?.weights ?? {};
  const shown = (MEASURES[scenario] as readonly Measure[])
    .filter((measure) => (weights[measure] ?? 0) > 0)
    .flatMap((measure) => {
      const figure = figureOf(results, scenario, candidate, measure);
      return figure
        ? [`${MEASURE_WORDS[measure].brief} ${links.link(figure.id, `${figure.median.toPrecision(3)} s`)}`]
        : [];
    });
  if (shown.length === 0) return 'measured';
  return shown.map((text, i) => `<span class="one">${text}${i < shown.length - 1 ? ',' : ''}</span>`).join(' ');
}

/** Who misses what it must have; on paper the requirements say it. */
export function missedList({ recommendation }: Conclusion): string {
  const items = recommendation.standings
    .filter(({ missed }) => missed.length > 0)
    .map(
      ({ candidate, missed }) => `<li><strong>${escapeHtml(candidate)}</strong>: ${escapeHtml(missed.join('; '))}</li>`,
    );
  return items.length === 0
    ? ''
    : `<div class="screen"><p>Must-haves that were missed:</p>\n<ul>\n${items.join('\n')}\n</ul></div>`;
}

/** A program that ends may say much; its first words are what is read, the rest is in the results. */
const REASON_MAX = 220;
const clipped = (text: string) => (text.length <= REASON_MAX ? text : `${text.slice(0, REASON_MAX - 1)}…`);

/** Each cell that says nothing, with its reason; the same reasons of a candidate once. */
export function notMeasuredTexts({ results }: Conclusion): { candidate: string; texts: readonly string[] }[] {
  return results.candidates.flatMap(({ name, about }) => {
    const cells = results.scenarios
      .map((scenario) => cellOf(results, scenario.name, name))
      .filter(({ status }) => status !== 'measured');
    if (cells.length === 0) return [];
    const [first] = cells;
    const isAllTheSame =
      cells.length === results.scenarios.length &&
      cells.every(({ status, reason }) => status === first?.status && reason === first.reason);
    const texts =
      isAllTheSame && first
        ? [`${first.status} in any scenario${first.reason ? `: ${first.reason}` : ''}`]
        : cells.map(gapText).map(clipped);
    return [{ candidate: about === undefined ? name : `${name} (${about})`, texts }];
  });
}

export function notMeasuredList(conclusion: Conclusion): string {
  const gaps = notMeasuredTexts(conclusion);
  if (gaps.length === 0) return '<p>Every candidate was measured in every scenario.</p>';
  const items = gaps.map(
    ({ candidate, texts }) => `<li><strong>${escapeHtml(candidate)}</strong>: ${escapeHtml(texts.join('; '))}</li>`,
  );
  return `<ul>\n${items.join('\n')}\n</ul>`;
}

export function repeatSection({ results }: Conclusion): string {
  return `<pre tabindex="0"><code>${escapeHtml(results.command)}</code></pre>
<p class="soft">${escapeHtml(settingText(results))} Commit ${escapeHtml(results.environment.commit)}. Results of another environment are not compared with these. All trials are in <code>results.json</code>.</p>`;
}

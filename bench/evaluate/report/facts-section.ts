/** What others say of what was not measured: a place of its own, in words, so that nobody takes it for a measurement. */
import type { Conclusion } from '../conclusion.ts';
import type { DocumentedCandidate } from '../facts.ts';
import { MEASURE_WORDS, SCENARIO_WORDS } from '../words.ts';
import type { FigureLinks } from './figure-links.ts';
import { escapeHtml } from './html.ts';

/** Where it is a page of the web, a link; reading the report needs none of them. */
function sourceHtml(source: string): string {
  return /^https:\/\/[^\s"<>]+$/.test(source)
    ? `<a href="${escapeHtml(source)}" rel="noreferrer">${escapeHtml(new URL(source).hostname)}</a>`
    : escapeHtml(source);
}

function factHtml(candidate: DocumentedCandidate): string {
  const figures = candidate.figures.map(
    ({ says, source, date, confidence }) =>
      `<li>“${escapeHtml(says)}” <span class="soft">(${sourceHtml(source)}, ${escapeHtml(date)}; ${confidence})</span></li>`,
  );
  const questions = candidate.ask.map((question) => `<li>${escapeHtml(question)}</li>`).join(' ');
  return `<div class="fact"><h4>${escapeHtml(candidate.name)}</h4>
<p><em>${escapeHtml(candidate.question)}</em> ${escapeHtml(candidate['is-a-cache'])}</p>
<ul>${figures.join('')}</ul>
<p>To ask its owner:</p><ul class="run-in">${questions}</ul>
<p>What would change our mind: ${escapeHtml(candidate['change-of-mind'])}</p></div>`;
}

export function factsSection({ facts, flips, recommendation }: Conclusion, links: FigureLinks): string {
  if (facts === undefined || facts.candidates.length === 0) return '<p>No facts were given.</p>';
  return `<p>None of this was measured here; it is what its sources say.${flipText(flips, recommendation.choice[0], links)}</p>
<div class="facts">
${facts.candidates.map(factHtml).join('\n')}
</div>`;
}

export function flipText(flips: Conclusion['flips'], front: string | undefined, links: FigureLinks): string {
  if (front === undefined || flips.length === 0) return '';
  const values = flips.map(
    ({ scenario, measure, belowS, figure }) =>
      `${SCENARIO_WORDS[scenario].title.toLowerCase()}, ${MEASURE_WORDS[measure].brief}: below ${links.link(figure, `${belowS.toPrecision(3)} s`)}`,
  );
  return ` A candidate that is like ${escapeHtml(front)} in everything else would be recommended in its place with any one of: ${values.join('; ')}.`;
}

/**
 * Two printed pages per audience: `brief-engineers.html` for who runs the platform, `brief-decision.html` for who decides about the money.
 * Both say the same answer; every figure links into `index.html`.
 */
import type { Conclusion } from '../conclusion.ts';
import { SCENARIO_WORDS } from '../words.ts';
import {
  answerBox,
  claimList,
  matrix,
  notMeasuredList,
  plotFigures,
  repeatSection,
  settingText,
} from './answer-sections.ts';
import { costsTable, nearestFlips, requirementsTable, sensitivityTable } from './detail-sections.ts';
import { flipText } from './facts-section.ts';
import { FigureLinks } from './figure-links.ts';
import { escapeHtml, htmlPage } from './html.ts';

const FOOTER =
  '<p>Every figure links to <a href="index.html">the full report</a>, which has intervals, trials and sources.</p>';
/** The nearest ways in which the answer flips; the full report has all. */
const FLIPS_MAX = 6;

export function engineersBrief(conclusion: Conclusion): string {
  const { results, sensitivity } = conclusion;
  const links = new FigureLinks(results, 'index.html');
  const nearest = { ...conclusion, sensitivity: nearestFlips(sensitivity).slice(0, FLIPS_MAX) };
  return htmlPage({
    title: `For engineers: ${results.name}`,
    header: `<h1>${escapeHtml(results.question)}</h1>\n<p class="soft">For platform engineers. ${escapeHtml(settingText(results))}</p>`,
    main: `${answerBox(conclusion)}
<h2>What was measured</h2>
${plotFigures(conclusion)}
${matrix(conclusion, links)}
<h2>What it costs to run</h2>
${costsTable(conclusion, links)}
<h2>What would change the answer</h2>
${sensitivityTable(nearest, links)}
<h2>What was not measured</h2>
${notMeasuredList(conclusion)}
<h2>Repeat it</h2>
${repeatSection(conclusion)}`,
    footer: FOOTER,
  });
}

export function decisionBrief(conclusion: Conclusion): string {
  const { results, recommendation, requirements, facts, flips } = conclusion;
  const links = new FigureLinks(results, 'index.html');
  return htmlPage({
    title: `For the decision: ${results.name}`,
    header: `<h1>${escapeHtml(results.question)}</h1>\n<p class="soft">For who decides about money and engagement. ${escapeHtml(settingText(results))}</p>`,
    main: `${answerBox(conclusion)}
<h2>What the answer rests on</h2>
${claimList(conclusion, links)}
<h2>What is asked of a cache here</h2>
<ul>${results.scenarios.map(({ name }) => `<li>${SCENARIO_WORDS[name].title}: ${SCENARIO_WORDS[name].about}.</li>`).join('')}</ul>
<h2>What it takes in return</h2>
${costsTable(conclusion, links)}
${requirements === undefined ? '' : `<h2>Your requirements</h2>\n${requirementsTable(ofFront(conclusion), links)}`}
<h2>What could overturn it</h2>
<p>${overturnText(conclusion)}${flipText(flips, recommendation.choice[0], links)}</p>
${questionsHtml(facts)}
<h2>What is not known</h2>
${notMeasuredList(conclusion)}`,
    footer: FOOTER,
  });
}

/** With the columns of the recommended one alone: whoever decides asks about that one. */
function ofFront(conclusion: Conclusion): Conclusion {
  const { recommendation } = conclusion;
  const front = recommendation.choice[0];
  const standings = recommendation.standings.filter(({ candidate }) => front === undefined || candidate === front);
  return { ...conclusion, recommendation: { ...recommendation, standings } };
}

function overturnText({ sensitivity, recommendation }: Conclusion): string {
  const nearest = nearestFlips(sensitivity)[0];
  const front = recommendation.choice[0];
  if (front === undefined)
    return 'Another candidate that covers every scenario would be the first that can be recommended.';
  if (nearest === undefined || nearest.worseBy === 'never')
    return `No measured candidate can overtake ${escapeHtml(front)} by one figure or weight alone.`;
  return `The nearest: ${escapeHtml(nearest.other)} would be ahead if one figure of ${escapeHtml(front)} (${SCENARIO_WORDS[nearest.scenario].title.toLowerCase()}) were ${nearest.worseBy.toFixed(1)} times worse.`;
}

/** One question each to the owners of what could not be measured. */
function questionsHtml(facts: Conclusion['facts']): string {
  if (facts === undefined || facts.candidates.length === 0) return '';
  const items = facts.candidates.map(
    ({ name, ask }) => `<li><strong>${escapeHtml(name)}</strong>: ${escapeHtml(ask[0] ?? '')}</li>`,
  );
  return `<h2>Questions to ask owners of what could not be measured</h2>\n<ul>${items.join('\n')}</ul>`;
}

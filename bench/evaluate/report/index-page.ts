/** `index.html`: the question, the answer and its evidence, readable in five minutes; then the details. */
import type { Conclusion } from '../conclusion.ts';
import {
  answerBox,
  claimList,
  matrix,
  missedList,
  notMeasuredList,
  plotFigures,
  repeatSection,
  settingText,
} from './answer-sections.ts';
import {
  costsTable,
  environmentTable,
  figureTables,
  requirementsTable,
  sensitivityTable,
  trialsTable,
} from './detail-sections.ts';
import { factsSection } from './facts-section.ts';
import { FigureLinks } from './figure-links.ts';
import { escapeHtml, htmlPage } from './html.ts';

export function indexPage(conclusion: Conclusion): string {
  const { results } = conclusion;
  const links = new FigureLinks(results, '');
  const main = `<section aria-labelledby="answer">
<h2 id="answer">The answer</h2>
${answerBox(conclusion)}
${claimList(conclusion, links)}
</section>
<section aria-labelledby="scenarios">
<h2 id="scenarios">The scenarios</h2>
${plotFigures(conclusion)}
</section>
<section aria-labelledby="matrix">
<h2 id="matrix">Who was measured in what</h2>
<p>Medians; each links to its interval. The score is 1 for whoever is best in everything. Eligible is who was measured in every scenario and misses no must-have.</p>
${matrix(conclusion, links)}
${missedList(conclusion)}
</section>
<section aria-labelledby="not-measured">
<h2 id="not-measured">What was not measured, and why</h2>
${notMeasuredList(conclusion)}
</section>
<section aria-labelledby="repeat">
<h2 id="repeat">How to repeat it</h2>
${repeatSection(conclusion)}
</section>
<section aria-labelledby="details">
<h2 id="details">Details</h2>
<h3>Requirements</h3>
${requirementsTable(conclusion, links)}
<h3>Sensitivity: how far until the answer flips</h3>
<p>In each row everything else stays as it was measured.</p>
${sensitivityTable(conclusion, links)}
<h3>Costs</h3>
<p>A copy costs disk and network, a byte read at the origin costs its bandwidth.</p>
${costsTable(conclusion, links)}
<h3>What is said of others</h3>
${factsSection(conclusion, links)}
<h3>Figures</h3>
<p>Medians with their 95 % bootstrap intervals, and the number of trials.</p>
${figureTables(conclusion)}
<div class="screen">
<h3>Trials</h3>
${trialsTable(conclusion)}
</div>
<h3>Environment</h3>
${environmentTable(results)}
</section>`;
  return htmlPage({
    title: `Evaluation: ${results.name}`,
    header: `<h1>${escapeHtml(results.question)}</h1>\n<p class="soft">${escapeHtml(settingText(results))}</p>`,
    main,
    footer: '<p>Made by <code>forebay evaluate</code>. The rule of the recommendation is in docs/evaluation.md.</p>',
  });
}

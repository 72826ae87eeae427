/** `report.md`: the same answer and evidence for a terminal, a pull request or a room of notes. */
import type { Conclusion } from '../conclusion.ts';
import { figureText } from '../figure-text.ts';
import { cellOf, figureOf } from '../figures-of.ts';
import { claimText } from '../recommendation.ts';
import { MEASURES, type Measure } from '../results.ts';
import { MEASURE_WORDS, SCENARIO_WORDS } from '../words.ts';
import { notMeasuredTexts, settingText } from './answer-sections.ts';
import { nearestFlips } from './detail-sections.ts';

/** Names and reasons are somebody else's text: nothing of it may become markup, and nothing leaves its cell. */
const escapeMarkdown = (text: string): string =>
  text.replace(/[\\`*_[\]<>|#~]/g, (character) => `\\${character}`).replace(/\s*\n\s*/g, ' ');

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

export function markdownReport(conclusion: Conclusion): string {
  const { results, recommendation, requirements } = conclusion;
  const sections = [
    `# ${escapeMarkdown(results.question)}`,
    `**${escapeMarkdown(recommendation.answer)}**`,
    ...(requirements ? [escapeMarkdown(requirements.readiness.text)] : []),
    ...(recommendation.claims.length > 0
      ? [recommendation.claims.map((claim) => `- ${escapeMarkdown(claimText(claim, results))}`).join('\n')]
      : []),
    '## Who was measured in what',
    matrixTable(conclusion),
    '## What was not measured, and why',
    notMeasured(conclusion),
    '## How to repeat it',
    `\`\`\`\n${results.command.replaceAll('```', "'''")}\n\`\`\``,
    escapeMarkdown(settingText(results)),
    ...(requirements ? ['## Requirements', requirementsMarkdown(conclusion)] : []),
    '## Sensitivity',
    sensitivityMarkdown(conclusion),
    '## Figures',
    figuresMarkdown(conclusion),
    ...(conclusion.facts ? ['## What is said of others (not measured here)', factsMarkdown(conclusion)] : []),
  ];
  return `${sections.join('\n\n')}\n`;
}

function matrixTable({ results, recommendation }: Conclusion): string {
  const rows = recommendation.standings.map(({ candidate, score, isEligible }) => [
    escapeMarkdown(candidate),
    ...results.scenarios.map(({ name, weights }) => {
      const { status } = cellOf(results, name, candidate);
      if (status !== 'measured') return status;
      const medians = (MEASURES[name] as readonly Measure[])
        .filter((measure) => (weights[measure] ?? 0) > 0)
        .flatMap((measure) => {
          const figure = figureOf(results, name, candidate, measure);
          return figure ? [`${MEASURE_WORDS[measure].brief} ${figure.median.toPrecision(3)} s`] : [];
        });
      return medians.join(', ') || status;
    }),
    score === undefined ? '–' : score.toFixed(2),
    isEligible ? 'yes' : 'no',
  ]);
  return table(
    ['Candidate', ...results.scenarios.map(({ name }) => SCENARIO_WORDS[name].title), 'Score', 'Eligible'],
    rows,
  );
}

function notMeasured(conclusion: Conclusion): string {
  const gaps = notMeasuredTexts(conclusion);
  if (gaps.length === 0) return 'Every candidate was measured in every scenario.';
  return gaps
    .map(({ candidate, texts }) => `- ${escapeMarkdown(candidate)}: ${escapeMarkdown(texts.join('; '))}`)
    .join('\n');
}

function requirementsMarkdown({ requirements, recommendation }: Conclusion): string {
  const names = recommendation.standings.map(({ candidate }) => candidate);
  const rows = (requirements?.judged.lines ?? []).map(({ text, verdicts }) => [
    escapeMarkdown(text),
    ...names.map((name) => escapeMarkdown(`${verdicts[name]?.state ?? ''}: ${verdicts[name]?.reason ?? ''}`)),
  ]);
  return rows.length === 0 ? 'The requirements are empty.' : table(['Requirement', ...names.map(escapeMarkdown)], rows);
}

function sensitivityMarkdown({ sensitivity }: Conclusion): string {
  if (sensitivity.length === 0) return 'Nobody else is eligible: no figure or weight changes the answer.';
  const factor = (value: number | 'never') => (value === 'never' ? value : `${value.toPrecision(3)}×`);
  const rows = nearestFlips(sensitivity).map(({ other, scenario, measure, weight, worseBy, betterBy, weightTo }) => [
    `${SCENARIO_WORDS[scenario].title}: ${MEASURE_WORDS[measure].brief}`,
    escapeMarkdown(other),
    factor(worseBy),
    factor(betterBy),
    `${weight} → ${weightTo === 'never' ? weightTo : weightTo.toPrecision(3)}`,
  ]);
  return table(['Measure', 'Against', 'Flips when worse by', 'or the other better by', 'or the weight becomes'], rows);
}

function figuresMarkdown({ results }: Conclusion): string {
  const rows = results.figures.map((figure) => [
    `\`${figure.id.replaceAll('`', "'").replaceAll('|', '\\|').replace(/\s+/g, ' ')}\``,
    figureText(figure),
    String(figure.trials),
    figure.isBusy ? 'machine too busy' : '',
  ]);
  return rows.length === 0 ? 'None.' : table(['Figure', 'Median (interval)', 'Trials', ''], rows);
}

function factsMarkdown({ facts }: Conclusion): string {
  return (facts?.candidates ?? [])
    .map((candidate) => {
      const figures = candidate.figures.map(
        ({ says, source, date, confidence }) =>
          `- "${escapeMarkdown(says)}" (${escapeMarkdown(source)}, ${escapeMarkdown(date)}; ${confidence})`,
      );
      const questions = candidate.ask.map((question) => `- To ask: ${escapeMarkdown(question)}`);
      return `### ${escapeMarkdown(candidate.name)}\n\n${escapeMarkdown(`${candidate.question} ${candidate['is-a-cache']}`)}\n\n${[...figures, ...questions].join('\n')}\n\nWhat would change our mind: ${escapeMarkdown(candidate['change-of-mind'])}`;
    })
    .join('\n\n');
}

/** What stands behind the answer: requirements, sensitivity, costs, every figure, trials and environment. */
import type { Conclusion } from '../conclusion.ts';
import { figureText } from '../figure-text.ts';
import { cellOf, figureOf } from '../figures-of.ts';
import type { JudgedLine, LineVerdict } from '../requirements.ts';
import { type EvaluatedFigure, MEASURES, type Results, type Trial } from '../results.ts';
import type { Sensitivity } from '../sensitivity.ts';
import { MEASURE_WORDS, SCENARIO_WORDS } from '../words.ts';
import type { FigureLinks } from './figure-links.ts';
import { anchorOf, cell, escapeHtml, htmlTable, rowHead } from './html.ts';

export function requirementsTable({ requirements, recommendation }: Conclusion, links: FigureLinks): string {
  if (requirements === undefined)
    return '<p>No requirements were given: <code>requirements.toml</code> would be judged here.</p>';
  const { lines } = requirements.judged;
  if (lines.length === 0) return '<p>The requirements are empty.</p>';
  const names = recommendation.standings.map(({ candidate }) => candidate);
  const rows = lines.map(({ text, isMustHave, verdicts }) => ({
    cells: [
      rowHead(`${text}${isMustHave ? ' (must)' : ''}`),
      ...STATES.map((state) => cell(verdictGroups(names, verdicts, { state, links }))),
    ],
  }));
  return htmlTable('Requirements', ['Requirement', 'Green', 'Red', 'Unknown'], rows);
}

const STATES = ['green', 'red', 'unknown'] as const;

/** Candidates of one state; those with the same reason and no figure of their own together. */
function verdictGroups(
  names: readonly string[],
  verdicts: JudgedLine['verdicts'],
  { state, links }: { state: LineVerdict['state']; links: FigureLinks },
): string {
  const groups = new Map<string, string[]>();
  for (const name of names) {
    const verdict = verdicts[name];
    if (verdict?.state !== state) continue;
    const [figure] = verdict.figures;
    const reason = figure === undefined ? escapeHtml(verdict.reason) : links.link(figure, verdict.reason);
    groups.set(reason, [...(groups.get(reason) ?? []), `<span class="${state}">${escapeHtml(name)}</span>`]);
  }
  return Array.from(groups, ([reason, who]) => `<div class="why">${who.join(', ')}: ${reason}</div>`).join('') || '–';
}

const factor = (value: number | 'never') =>
  value === 'never' ? 'never' : `${value < 100 ? value.toFixed(2) : value.toPrecision(3)}×`;

/** Nearest first; what never flips last. */
export function nearestFlips(sensitivity: readonly Sensitivity[]): Sensitivity[] {
  const distance = ({ worseBy }: Sensitivity) => (worseBy === 'never' ? Infinity : worseBy);
  return sensitivity.toSorted((a, b) => distance(a) - distance(b) || 0);
}

export function sensitivityTable({ sensitivity, recommendation }: Conclusion, links: FigureLinks): string {
  if (sensitivity.length === 0)
    return recommendation.choice.length === 0
      ? '<p>Nobody is in front, so nothing can flip.</p>'
      : '<p>Nobody else is eligible: no figure or weight changes the answer, only another candidate that covers every scenario.</p>';
  const rows = nearestFlips(sensitivity).map(
    ({ ours, other, scenario, measure, weight, worseBy, betterBy, weightTo, figures }) => ({
      cells: [
        rowHead(`${SCENARIO_WORDS[scenario].title}: ${MEASURE_WORDS[measure].brief}`),
        cell(`${escapeHtml(ours)} ${links.link(figures[0])}`),
        cell(`${escapeHtml(other)} ${links.link(figures[1])}`),
        cell(factor(worseBy)),
        cell(factor(betterBy)),
        cell(`${weight} → ${weightTo === 'never' ? 'never' : weightTo.toPrecision(3)}`),
      ],
    }),
  );
  const head = [
    'Measure',
    'In front',
    'Other',
    'Flips when worse by',
    'or the other better by',
    'or the weight becomes',
  ];
  const nearest = htmlTable('Sensitivity, the nearest', head, rows.slice(0, FLIPS_SHOWN));
  const rest = rows.slice(FLIPS_SHOWN);
  if (rest.length === 0) return nearest;
  return `${nearest}\n<details class="screen"><summary>${rest.length} that are further away</summary>\n${htmlTable('Sensitivity, further away', head, rest)}\n</details>`;
}

/** The nearest are what matters; the others are a click away. */
const FLIPS_SHOWN = 15;

export function costsTable({ costs, results }: Conclusion, links: FigureLinks): string {
  if (costs.length === 0) return '<p>Nothing was measured.</p>';
  const rows = costs.map(({ candidate, copies, scenarios }) => ({
    cells: [
      rowHead(candidate),
      cell(copies === undefined ? 'not said' : String(copies)),
      ...results.scenarios.map(({ name }) => {
        const cost = scenarios.find(({ scenario }) => scenario === name);
        if (cost === undefined) return cell('–');
        const bytes =
          cost.originBytesRatio &&
          `read ${links.link(cost.originBytesRatio.figure, `${cost.originBytesRatio.median.toFixed(2)}×`)}`;
        const requests = cost.originRequests === undefined ? undefined : `${cost.originRequests} requests`;
        const busy = cost.cpuBusy === undefined ? undefined : `processor ${Math.round(cost.cpuBusy * 100)} %`;
        return cell([bytes, requests, busy].filter((part) => part !== undefined).join(', ') || 'not counted');
      }),
    ],
  }));
  return htmlTable(
    'Costs',
    [
      'Candidate',
      'Copies beside the origin’s',
      ...results.scenarios.map(({ name }) => `${SCENARIO_WORDS[name].title}: at the origin`),
    ],
    rows,
  );
}

/** Every figure, by scenario: where all links lead. */
export function figureTables({ results }: Conclusion): string {
  return results.scenarios
    .map(({ name }) => {
      const measures = [...MEASURES[name], 'originBytesRatio'] as const;
      const rows = results.candidates.flatMap((candidate) => {
        const figures = measures.map((measure) => figureOf(results, name, candidate.name, measure));
        if (figures.every((figure) => figure === undefined)) return [];
        const { status } = cellOf(results, name, candidate.name);
        const label = status === 'measured' ? candidate.name : `${candidate.name} (${status}; trials that ended)`;
        return [{ cells: [rowHead(label), ...figures.map(figureCell)] }];
      });
      if (rows.length === 0) return '';
      const title = SCENARIO_WORDS[name].title;
      return `<h4>${title}</h4>\n${htmlTable(`Figures of ${title}`, ['Candidate', ...measures.map((measure) => MEASURE_WORDS[measure].full)], rows)}`;
    })
    .join('\n');
}

function figureCell(figure: EvaluatedFigure | undefined): string {
  if (figure === undefined) return cell('–');
  const busy = figure.isBusy ? ', <span class="unknown">machine too busy</span>' : '';
  const text = `${escapeHtml(figureText(figure))} <span class="soft one">of ${figure.trials}</span>${busy}`;
  return cell(text, ` id="${escapeHtml(anchorOf(figure.id))}"`);
}

export function trialsTable({ results }: Conclusion): string {
  const rows = results.trials.map((trial) => ({
    cells: [
      rowHead(trial.candidate),
      cell(SCENARIO_WORDS[trial.scenario].title),
      cell(String(trial.round + 1)),
      cell(escapeHtml(trialText(trial))),
    ],
  }));
  if (rows.length === 0) return '<p>No trials.</p>';
  return `<details><summary>All ${rows.length} trials</summary>\n${htmlTable('Trials', ['Candidate', 'Scenario', 'Round', 'What was found'], rows)}\n</details>`;
}

function trialText({ scenario, status, reason, offset, values, originBytesRatio, cpuBusy, floorS }: Trial): string {
  const seconds = MEASURES[scenario].flatMap((measure) => {
    const value = (values as Readonly<Partial<Record<string, number>>>)[measure];
    return value === undefined ? [] : [`${MEASURE_WORDS[measure].brief} ${value.toPrecision(3)} s`];
  });
  const said = [
    ...(status === 'measured' ? [] : [`${status}${reason === undefined ? '' : `: ${reason}`}`]),
    ...(offset === undefined ? [] : [`first wrong byte at offset ${offset}`]),
    ...seconds,
    ...(floorS === undefined ? [] : [`least possible ${floorS.toPrecision(3)} s`]),
    ...(originBytesRatio === undefined ? [] : [`origin read ${originBytesRatio.toFixed(2)}×`]),
    ...(cpuBusy === undefined ? [] : [`processor ${Math.round(cpuBusy * 100)} %`]),
  ];
  return said.join(', ');
}

export function environmentTable({ environment, shaping, nodes, linkMbit, originLinks, rounds }: Results): string {
  const facts: readonly (readonly [string, string])[] = [
    ['Date', environment.date],
    ['Commit', environment.commit],
    [
      'Machine',
      `${environment.cores} cores (${environment.cpu}), ${environment.memoryGiB} GiB, ${environment.fileSystem}`,
    ],
    ['Software', `Linux ${environment.kernel}, Node ${environment.node}`],
    ['Links', `${nodes} nodes at ${linkMbit} Mbit/s, origin ${originLinks}×, shaped in ${shaping}`],
    ['Rounds', String(rounds)],
  ];
  return htmlTable(
    'Environment',
    ['What', 'Which'],
    facts.map(([what, which]) => ({ cells: [rowHead(what), cell(escapeHtml(which))] })),
  );
}

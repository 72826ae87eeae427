/** The files of a report, by name: all that `forebay evaluate` leaves beside the trials. Pure; whoever calls writes them. */
import type { Conclusion } from '../conclusion.ts';
import { decisionBrief, engineersBrief } from './brief-pages.ts';
import { indexPage } from './index-page.ts';
import { markdownReport } from './markdown-report.ts';

export function reportFiles(conclusion: Conclusion): Readonly<Record<string, string>> {
  return {
    'index.html': indexPage(conclusion),
    'brief-engineers.html': engineersBrief(conclusion),
    'brief-decision.html': decisionBrief(conclusion),
    'report.md': markdownReport(conclusion),
    'results.json': `${JSON.stringify(conclusion.results, undefined, 2)}\n`,
  };
}

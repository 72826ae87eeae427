/** The command line of `bench local`. */
import { type Scenario, WrongUse } from '../scenario.ts';
import { findTool } from '../tool.ts';
import { LOCAL_FIGURES, runLocal } from './local.ts';

const BASELINE_TOOLS = ['nginx', 'wrk'] as const;

export const localScenario: Scenario = {
  name: 'local',
  synopsis: 'local [--only FIGURE]… [--directory DIR]',
  help: `one node against nginx on this machine, within 10 minutes
  --only FIGURE        measure only this one; may be repeated:
                       ${LOCAL_FIGURES.join('\n                       ')}
  --directory DIR      where caches lie meanwhile (default: the temporary directory)`,
  options: {
    only: { type: 'string', multiple: true, default: [] },
    directory: { type: 'string' },
  },
  async run(values, progress) {
    const only = values['only'] as readonly string[];
    const unknown = only.find((name) => !LOCAL_FIGURES.includes(name));
    if (unknown !== undefined) throw new WrongUse(`unknown figure: ${unknown}`);
    const missing = BASELINE_TOOLS.filter((name) => findTool(name) === undefined);
    if (missing.length > 0) throw new WrongUse(`install ${missing.join(' and ')} first: a bench needs its baseline`);
    const directory = values['directory'] as string | undefined;
    const options = { full: values['full'] === true, self: values['self'] === true, only };
    return runLocal({ ...options, ...(directory !== undefined && { directory }) }, progress);
  },
};

/** A store of 1,000,000 small entries: how long it takes to open, and what an entry costs in memory. */
import { join } from 'node:path';
import { Child } from '../child.ts';
import { figure, shown, single } from '../result.ts';
import { bootstrap, median } from '../statistics.ts';
import type { Measurement } from './measurement.ts';
import type { Opened } from './million-store.ts';

const ENTRIES = 1_000_000;
const OPENINGS = 3;
/** DESIGN.md section 4: 300 bytes per content and 100 per chunk. */
const PREDICTED_BYTES = 400;
const SCRIPT = join(import.meta.dirname, 'million-store.ts');

async function script(...args: string[]): Promise<string> {
  const node = ['--disable-warning=ExperimentalWarning', '--expose-gc', SCRIPT, ...args];
  const child = await Child.start(process.execPath, node);
  let out = '';
  child.process.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  const code = await child.ended();
  if (code !== 0) throw new Error(`the store of ${ENTRIES} entries: ${code}: ${child.complaint}`);
  return out;
}

export const million: Measurement = {
  figures: ['startMillion', 'entryBytes'],
  async run(run) {
    const directory = join(run.directory, 'store');
    run.progress.say('a store of 1,000,000 small entries, built');
    await script('build', directory, String(ENTRIES));
    const trials: Opened[] = [];
    for (let i = 0; i < OPENINGS; i++) {
      run.progress.say('opened', i + 1, OPENINGS);
      trials.push(JSON.parse(await script('open', directory, String(ENTRIES))) as Opened);
    }
    const index = median(trials.map((trial) => trial.indexBytes / ENTRIES));
    return {
      figures: {
        startMillion: figure(bootstrap(trials.map((trial) => trial.seconds)), 's', {
          beside: `to open a store of 1,000,000 small entries; ${OPENINGS} openings`,
        }),
        entryBytes: single(median(trials.map((trial) => (trial.residentBytes - trial.emptyBytes) / ENTRIES)), 'bytes', {
          beside: `resident, with its key; the index says ${shown(index)}, predicted ${PREDICTED_BYTES} without the key`,
        }),
      },
      trials: { million: trials },
    };
  },
};

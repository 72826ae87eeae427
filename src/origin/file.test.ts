import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runOriginConformance } from '../../tests/conformance/origin.ts';
import { createRealDisk } from '../io/real/disk.ts';
import { createRealRandom } from '../io/real/random.ts';
import { createFileOrigin } from './file.ts';

/** 10,000 synced puts take a minute on a disk; what a disk does with syncs is not the question here. */
const MEMORY = fs.existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

runOriginConformance(
  'file',
  async (t) => {
    const root = fs.mkdtempSync(join(MEMORY, 'forebay-origin-'));
    const disk = createRealDisk({ root });
    t.after(() => fs.rmSync(root, { recursive: true, force: true }));
    const origin = createFileOrigin({ disk, random: createRealRandom(), url: `file://${root}` });
    return { origin, close: () => disk.close() };
  },
  { keysArePaths: true },
);

/** The embedded coordinator does what every Coordinator does, and what only a file can get wrong. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { runCoordinatorConformance } from '../../../tests/conformance/coordinator.ts';
import type { Coordinator } from '../coordinator.ts';
import { createRealClock } from './clock.ts';
import { openEmbeddedCoordinator } from './embedded-coordinator.ts';

function setBack(path: string): void {
  const database = new DatabaseSync(path);
  database.exec(`
    BEGIN IMMEDIATE;
    DELETE FROM entries WHERE modified > (SELECT revision - 20 FROM state);
    DELETE FROM changes WHERE revision > (SELECT revision - 20 FROM state);
    UPDATE state SET revision = revision - 20;
    COMMIT`);
  database.close();
}

for (const ffi of ['auto', 'off'] as const) {
  runCoordinatorConformance(`embedded coordinator${ffi === 'off' ? ' without FFI' : ''}`, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'forebay-coordinator-'));
    const path = join(directory, 'coordinator.sqlite');
    const clock = createRealClock({ ffi });
    const opened: Coordinator[] = [];
    return {
      clock,
      ttlMs: 1500,
      async open() {
        const coordinator = await openEmbeddedCoordinator({ path, clock, ffi });
        opened.push(coordinator);
        return coordinator;
      },
      async compact() {
        const coordinator = await openEmbeddedCoordinator({ path, clock, ffi });
        await coordinator.compact();
        await coordinator.close();
      },
      setBack: async () => setBack(path),
      async close() {
        await Promise.all(opened.map((coordinator) => coordinator.close()));
        rmSync(directory, { recursive: true, force: true });
      },
    };
  });
}

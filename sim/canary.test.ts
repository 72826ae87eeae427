/** The simulator must find deliberate damage: a run that cannot fail proves nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CALM } from './regressions/read-cache.ts';
import { runSeed, type SeedResult } from './run.ts';
import { SABOTAGES, type Sabotage, type ScenarioOptions } from './scenarios/scenario.ts';

/** Options that give the damage a chance to matter in every seed. */
const OVERRIDES: Readonly<Record<Sabotage, ScenarioOptions>> = {
  'drop-write': CALM,
  'keep-boot-id': { ...CALM, operations: 150, clients: 2, thinkMs: 200, faultMs: 2000, powerWeight: 1 },
};
const SEEDS_MAX = 20;

async function firstFailure(sabotage: Sabotage): Promise<SeedResult | undefined> {
  for (let seed = 0; seed < SEEDS_MAX; seed++) {
    const overrides = OVERRIDES[sabotage];
    const result = await runSeed({ seed, scenario: 'read-cache', overrides, sabotage });
    if (result.findings.length > 0) return result;
  }
  return undefined;
}

for (const sabotage of SABOTAGES) {
  test(`S-1, S-9: the damage "${sabotage}" is found within ${SEEDS_MAX} seeds, and only the damage`, async () => {
    const failed = await firstFailure(sabotage);
    assert.ok(failed, 'a seed fails');
    assert.match(failed.findings[0]?.promise ?? '', /^S-(1|9)$/);
    const { seed, scenario, overrides } = failed;
    const sound = await runSeed({ seed, scenario, overrides });
    assert.deepEqual(sound.findings, [], 'the same seed passes undamaged');
  });
}

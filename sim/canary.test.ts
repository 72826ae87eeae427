/** The simulator must find deliberate damage: a run that cannot fail proves nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CALM_CLUSTER } from './regressions/cluster.ts';
import { CALM_CLUSTER_WRITE } from './regressions/cluster-write.ts';
import { CALM_KV } from './regressions/kv.ts';
import { CALM } from './regressions/read-cache.ts';
import { runSeed, type SeedResult } from './run.ts';
import { SABOTAGES, type Sabotage, type ScenarioOptions } from './scenarios/scenario.ts';

interface Damage {
  readonly scenario: string;
  /** Give the damage a chance to matter in every seed. */
  readonly overrides: ScenarioOptions;
  /** The promises that may break. */
  readonly breaks: RegExp;
}

const DAMAGES: Readonly<Record<Sabotage, Damage>> = {
  'drop-write': { scenario: 'read-cache', overrides: CALM, breaks: /^S-(1|9)$/ },
  'keep-boot-id': {
    scenario: 'read-cache',
    overrides: { ...CALM, operations: 150, clients: 2, thinkMs: 200, faultMs: 2000, powerWeight: 1 },
    breaks: /^S-(1|9)$/,
  },
  'trust-peers': {
    scenario: 'cluster',
    overrides: { ...CALM_CLUSTER, drill: 'corrupt-holder' },
    breaks: /^S-9$/,
  },
  'forget-holders': { scenario: 'cluster', overrides: CALM_CLUSTER, breaks: /^S-11$/ },
  'young-facts': {
    scenario: 'cluster',
    overrides: { ...CALM_CLUSTER, operations: 150, changeMs: 300, thinkMs: 200, revalidateMs: 2000, sizeMaxMiB: 0.05 },
    breaks: /^S-2$/,
  },
  'blind-origin': {
    scenario: 'cluster-write',
    overrides: { ...CALM_CLUSTER_WRITE, changeMs: 300, readChance: 0.2, operations: 80 },
    breaks: /^S-8$/,
  },
  'cut-objects': { scenario: 'cluster-write', overrides: CALM_CLUSTER_WRITE, breaks: /^S-7$/ },
  'late-origin': {
    scenario: 'cluster-write',
    overrides: { ...CALM_CLUSTER_WRITE, sequenceChance: 0.5 },
    breaks: /^S-(7|16)$/,
  },
  'lose-disk': {
    scenario: 'cluster-write',
    overrides: { ...CALM_CLUSTER_WRITE, replicas: 1, readChance: 0.1, faultMs: 500, loseDiskWeight: 1 },
    breaks: /^S-[34]$/,
  },
  'blind-compares': {
    scenario: 'cluster-write',
    overrides: { ...CALM_CLUSTER_WRITE, objects: 1, operations: 80, thinkMs: 5, readChance: 0.2 },
    breaks: /^S-(2|3|4|7|8|16)$/,
  },
  'forget-records': { scenario: 'cluster-write', overrides: CALM_CLUSTER_WRITE, breaks: /^S-(2|3|5)$/ },
  'forget-leases': {
    scenario: 'kv',
    // so slowly, and of so many keys, that most of what is promised is not changed before it is asked for
    overrides: { ...CALM_KV, operations: 1500, keys: 200, thinkMs: 1000, leaseMs: 60_000 },
    breaks: /^S-10$/,
  },
};
const SEEDS_MAX = 20;

async function firstFailure(sabotage: Sabotage): Promise<SeedResult | undefined> {
  const { scenario, overrides } = DAMAGES[sabotage];
  for (let seed = 0; seed < SEEDS_MAX; seed++) {
    const result = await runSeed({ seed, scenario, overrides, sabotage });
    if (result.findings.length > 0) return result;
  }
  return undefined;
}

for (const sabotage of SABOTAGES) {
  test(`S-1 to S-11, S-16: the damage "${sabotage}" is found within ${SEEDS_MAX} seeds, and only the damage`, async () => {
    const failed = await firstFailure(sabotage);
    assert.ok(failed, 'a seed fails');
    assert.match(failed.findings[0]?.promise ?? '', DAMAGES[sabotage].breaks);
    const { seed, scenario, overrides } = failed;
    const sound = await runSeed({ seed, scenario, overrides });
    assert.deepEqual(sound.findings, [], 'the same seed passes undamaged');
  });
}

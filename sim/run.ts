/**
 * Runs one seed of one scenario, and shrinks a failing one. A run is a pure function of seed, scenario, overrides and
 * the code: nothing real is waited for.
 */
import { type Finding, Findings } from './checkers/checker.ts';
import { cluster } from './scenarios/cluster.ts';
import { clusterWrite } from './scenarios/cluster-write.ts';
import { kv } from './scenarios/kv.ts';
import { readCache } from './scenarios/read-cache.ts';
import type { Sabotage, Scenario, ScenarioOptions, ScenarioRun } from './scenarios/scenario.ts';
import { SimClock, StuckError } from './sim-clock.ts';
import type { StartNode } from './sim-node.ts';
import { SimRandom } from './sim-random.ts';
import { startNode } from './start-node.ts';
import { Trace } from './trace.ts';

export const SCENARIOS: ReadonlyMap<string, Scenario> = new Map(
  [readCache, cluster, clusterWrite, kv].map((scenario) => [scenario.name, scenario as unknown as Scenario]),
);

/** No scenario goes on for longer than this of virtual time. */
const VIRTUAL_MAX_MS = 4 * 3600_000;
/** Nor with more events: beyond it something goes round in circles. */
const EVENTS_MAX = 1_000_000;

export interface SeedRequest {
  readonly seed: number;
  readonly scenario: string;
  /** Options that take the place of drawn ones. */
  readonly overrides?: ScenarioOptions;
  readonly sabotage?: Sabotage;
  readonly print?: (line: string) => void;
  /** For tests of the harness; by default the real node. */
  readonly startNode?: StartNode;
}

export interface SeedResult {
  readonly seed: number;
  readonly scenario: string;
  readonly options: ScenarioOptions;
  readonly overrides: ScenarioOptions;
  readonly findings: readonly Finding[];
  readonly hash: string;
  readonly events: number;
  readonly virtualMs: number;
}

function scenarioOf(name: string): Scenario {
  const scenario = SCENARIOS.get(name);
  if (!scenario) throw new Error(`no scenario "${name}"; there are ${[...SCENARIOS.keys()].join(', ')}`);
  return scenario;
}

export function drawOptions(request: SeedRequest): ScenarioOptions {
  const drawn = scenarioOf(request.scenario).draw(new SimRandom(request.seed).fork('options'));
  return { ...drawn, ...request.overrides };
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

export async function runSeed(request: SeedRequest): Promise<SeedResult> {
  const { seed, overrides = {}, sabotage } = request;
  const scenario = scenarioOf(request.scenario);
  const options = drawOptions(request);
  const random = new SimRandom(seed);
  const trace = new Trace(request.print);
  const clock = new SimClock(random.fork('clock'), trace);
  const findings = new Findings(() => clock.nowMs);
  const unhandled = (reason: unknown) => findings.add('errors', `a rejection that nobody handles: ${textOf(reason)}`);
  process.on('unhandledRejection', unhandled);
  let run: ScenarioRun | undefined;
  try {
    const world = { random, clock, trace, findings, sabotage, startNode: request.startNode ?? startNode };
    run = scenario.begin(world, options);
    let isDone = false;
    const running = run.run().then(
      () => {
        isDone = true;
      },
      (error: unknown) => {
        isDone = true;
        findings.add('errors', `the scenario itself failed: ${textOf(error)}`);
      },
    );
    await clock.run(() => isDone || !findings.isEmpty || clock.events > EVENTS_MAX, VIRTUAL_MAX_MS);
    if (clock.events > EVENTS_MAX) findings.add('liveness', `more than ${EVENTS_MAX} events`);
    if (isDone) await running;
  } catch (error) {
    if (!(error instanceof StuckError)) throw error;
    findings.add('liveness', error.message);
  } finally {
    process.removeListener('unhandledRejection', unhandled);
    run?.dispose();
  }
  for (const { promise, message } of findings.all) trace.note(`finding ${promise} ${message.split('\n')[0]}`);
  const { all } = findings;
  return {
    seed,
    scenario: scenario.name,
    options,
    overrides,
    findings: all,
    hash: trace.hash(),
    events: clock.events,
    virtualMs: clock.nowMs,
  };
}

/** Takes away what a failing seed does not need to fail, as long as the same promise is broken. */
export async function shrink(request: SeedRequest, failed: SeedResult, runsMax = 60): Promise<SeedResult> {
  const { promise } = failed.findings[0] as Finding;
  let smallest = failed;
  let runs = 0;
  for (const calmer of scenarioOf(request.scenario).calmer) {
    if (runs >= runsMax) break;
    const isCalmAlready = Object.entries(calmer).every(([name, value]) => smallest.options[name] === value);
    if (isCalmAlready) continue;
    runs++;
    const overrides = { ...smallest.overrides, ...(calmer as ScenarioOptions) };
    const { print: _, ...quiet } = request;
    const result = await runSeed({ ...quiet, overrides });
    if (result.findings[0]?.promise === promise) smallest = result;
  }
  return smallest;
}

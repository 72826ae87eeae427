/**
 * `npm run sim -- --seeds N [--from S] | --seed S`: runs seeds of the simulator, many at once in child processes, one
 * alone in this one. Exit status 0: every promise held; 1: a finding; 2: wrong use.
 */
import { execFileSync, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { drawOptions, runSeed, SCENARIOS, type SeedRequest, type SeedResult, shrink } from './run.ts';
import { SABOTAGES, type Sabotage, type ScenarioOptions } from './scenarios/scenario.ts';

const USAGE = `usage: forebay sim --seeds N [--from S] [--jobs J] | --seed S [--trace]
  --scenario NAME     one of: ${[...SCENARIOS.keys()].join(', ')}; without it, all of them
  --set NAME=VALUE    takes the place of a drawn option; may be given several times
  --sabotage NAME     deliberate damage that must be found: ${SABOTAGES.join(', ')}
  --no-shrink         report a failing seed as it is
  --json              one line of JSON per seed`;

/** Real time that one seed may take in a child process. */
const SEED_MAX_MS = 120_000;

interface Arguments {
  readonly seed: number | undefined;
  readonly seeds: number;
  readonly from: number;
  readonly jobs: number;
  /** One after another. */
  readonly scenarios: readonly string[];
  readonly overrides: ScenarioOptions;
  readonly sabotage: Sabotage | undefined;
  readonly trace: boolean;
  readonly shrink: boolean;
  readonly json: boolean;
}

class UsageError extends Error {
  override name = 'UsageError';
}

function whole(text: string | undefined, name: string, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new UsageError(`--${name} takes a whole number, not "${text}"`);
  return value;
}

function parseOverride(text: string): [string, number | boolean | string] {
  const at = text.indexOf('=');
  if (at <= 0) throw new UsageError(`--set takes NAME=VALUE, not "${text}"`);
  const [name, value] = [text.slice(0, at), text.slice(at + 1)];
  if (value === 'true' || value === 'false') return [name, value === 'true'];
  return [name, value !== '' && !Number.isNaN(Number(value)) ? Number(value) : value];
}

function parse(argv: readonly string[]): Arguments {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string' },
      from: { type: 'string' },
      jobs: { type: 'string' },
      scenario: { type: 'string' },
      set: { type: 'string', multiple: true, default: [] },
      sabotage: { type: 'string' },
      trace: { type: 'boolean', default: false },
      'no-shrink': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const sabotage = SABOTAGES.find((name) => name === values.sabotage);
  if (values.sabotage !== sabotage) throw new UsageError(`no sabotage "${values.sabotage}"`);
  if (values.seed === undefined && values.seeds === undefined) throw new UsageError('--seeds N or --seed S is needed');
  const overrides = Object.fromEntries(values.set.map(parseOverride));
  const scenarios = scenariosOf(values.scenario, sabotage);
  const known = new Set(scenarios.flatMap((scenario) => Object.keys(drawOptions({ seed: 0, scenario }))));
  const unknown = Object.keys(overrides).find((name) => !known.has(name));
  if (unknown !== undefined) throw new UsageError(`no option "${unknown}"; there are ${[...known].join(', ')}`);
  return {
    seed: values.seed === undefined ? undefined : whole(values.seed, 'seed', 0),
    seeds: whole(values.seeds, 'seeds', 1),
    from: whole(values.from, 'from', 0),
    jobs: Math.max(1, whole(values.jobs, 'jobs', availableParallelism())),
    scenarios,
    overrides,
    sabotage,
    trace: values.trace,
    shrink: !values['no-shrink'],
    json: values.json,
  };
}

/** The scenario that was named, or all that know the damage asked for. */
function scenariosOf(name: string | undefined, sabotage: Sabotage | undefined): string[] {
  if (name !== undefined && !SCENARIOS.has(name)) throw new UsageError(`no scenario "${name}"`);
  const named = [...SCENARIOS.values()].filter((scenario) => name === undefined || scenario.name === name);
  const able = named.filter(({ sabotages }) => sabotage === undefined || sabotages.includes(sabotage));
  if (able.length === 0) throw new UsageError(`the scenario "${name}" knows no sabotage "${sabotage}"`);
  return able.map((scenario) => scenario.name);
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .trim();
  } catch {
    return 'unknown';
  }
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

function optionsText(options: ScenarioOptions): string {
  return Object.entries(options)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');
}

/** One of the scenarios asked for, with the options that it has. */
interface Work extends Arguments {
  readonly scenario: string;
}

function workOf(args: Arguments, scenario: string): Work {
  const drawn = drawOptions({ seed: 0, scenario });
  const overrides = Object.fromEntries(Object.entries(args.overrides).filter(([name]) => name in drawn));
  return { ...args, scenario, overrides };
}

function requestOf(args: Work, seed: number): SeedRequest {
  const { scenario, overrides, sabotage } = args;
  return { seed, scenario, overrides, ...(sabotage ? { sabotage } : {}) };
}

/** The command that repeats a result. */
function reproduction(result: SeedResult, sabotage: Sabotage | undefined): string {
  const set = Object.entries(result.overrides).map(([name, value]) => ` --set ${name}=${value}`);
  const damage = sabotage ? ` --sabotage ${sabotage}` : '';
  return `npm run sim -- --seed ${result.seed} --scenario ${result.scenario}${set.join('')}${damage}`;
}

async function reportFailure(args: Work, result: SeedResult): Promise<void> {
  say(`seed ${result.seed} commit ${commit()} scenario ${result.scenario} ${optionsText(result.options)}`);
  for (const { promise, message, atMs } of result.findings) say(`FAILED ${promise} at ${atMs} ms: ${message}`);
  say(`trace hash ${result.hash}`);
  const smallest = args.shrink ? await shrink(requestOf(args, result.seed), result) : result;
  say(`repeat: ${reproduction(smallest, args.sabotage)}`);
}

async function runOne(args: Work, seed: number): Promise<number> {
  const request = requestOf(args, seed);
  if (args.json) {
    const result = await runSeed(request);
    say(JSON.stringify({ commit: commit(), ...result }));
    return result.findings.length === 0 ? 0 : 1;
  }
  say(`seed ${seed} commit ${commit()} scenario ${args.scenario} ${optionsText(drawOptions(request))}`);
  const result = await runSeed(args.trace ? { ...request, print: say } : request);
  for (const { promise, message, atMs } of result.findings) say(`FAILED ${promise} at ${atMs} ms: ${message}`);
  say(`${result.events} events, ${(result.virtualMs / 1000).toFixed(1)} s of virtual time`);
  if (result.findings.length > 0 && args.shrink)
    say(`repeat: ${reproduction(await shrink(request, result), args.sabotage)}`);
  say(`trace hash ${result.hash}`);
  return result.findings.length === 0 ? 0 : 1;
}

/**
 * After this many a child process is replaced. Node.js keeps signals made by `AbortSignal.any` alive while somebody listens to
 * them, with all that the listener can reach; lives that crash never stop listening, and what they hold, some 20 MiB
 * a seed, adds up to gigabytes.
 */
const SEEDS_PER_PROCESS = 25;

/** Runs seeds in `jobs` child processes; each takes the next seed when it is done with one. */
async function runMany(args: Work, each: (result: SeedResult) => void): Promise<void> {
  let next = args.from;
  const end = args.from + args.seeds;
  const oneProcess = (): Promise<void> =>
    new Promise((resolve, reject) => {
      let given = 0;
      const child = fork(new URL('./seed-process.ts', import.meta.url).pathname, {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
        // infinity is a value of options
        serialization: 'advanced',
        // a larger young generation: most of what a seed allocates dies at once
        execArgv: ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=64'],
      });
      let watch: NodeJS.Timeout | undefined;
      const give = () => {
        clearTimeout(watch);
        if (next >= end || given === SEEDS_PER_PROCESS) return child.disconnect();
        given++;
        const seed = next++;
        child.send(requestOf(args, seed));
        watch = setTimeout(() => {
          child.kill('SIGKILL');
          reject(new Error(`seed ${seed} did not end within ${SEED_MAX_MS} ms: an endless loop between two events`));
        }, SEED_MAX_MS);
      };
      child.on('message', (message) => {
        each(message as SeedResult);
        give();
      });
      child.on('error', reject);
      child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`a child process ended with ${code}`))));
      give();
    });
  const work = async (): Promise<void> => {
    while (next < end) await oneProcess();
  };
  await Promise.all(Array.from({ length: Math.min(args.jobs, args.seeds) }, work));
}

async function runSeeds(args: Work): Promise<number> {
  const from = performance.now();
  if (!args.json)
    say(
      `seeds ${args.from} to ${args.from + args.seeds - 1} commit ${commit()} scenario ${args.scenario} ${optionsText(args.overrides)}`,
    );
  const failures: SeedResult[] = [];
  let [done, events, virtualMs, saidMs] = [0, 0, 0, from];
  await runMany(args, (result) => {
    done++;
    events += result.events;
    virtualMs += result.virtualMs;
    if (args.json) say(JSON.stringify({ commit: commit(), ...result }));
    if (result.findings.length > 0) failures.push(result);
    if (args.json || performance.now() - saidMs < 5000) return;
    saidMs = performance.now();
    say(`${done} of ${args.seeds} seeds, ${failures.length} failed`);
  });
  if (args.json) return failures.length === 0 ? 0 : 1;
  failures.sort((a, b) => a.seed - b.seed);
  for (const failure of failures)
    await reportFailure({ ...args, shrink: args.shrink && failure === failures[0] }, failure);
  const seconds = (performance.now() - from) / 1000;
  const rate = `${(done / seconds).toFixed(1)} seeds/s, ${events} events, ${(virtualMs / 3600_000).toFixed(1)} h of virtual time`;
  say(
    `${done} seeds, ${failures.length} failed${failures.length > 0 ? `: ${failures.map(({ seed }) => seed).join(' ')}` : ''} (${rate})`,
  );
  return failures.length === 0 ? 0 : 1;
}

/** The command `sim`; returns the exit status. */
export async function simMain(argv: readonly string[]): Promise<number> {
  let args: Arguments;
  try {
    args = parse(argv);
  } catch (error) {
    const isUsage = error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
    if (!isUsage) throw error;
    process.stderr.write(`${(error as Error).message}\n${USAGE}\n`);
    return 2;
  }
  let status = 0;
  for (const scenario of args.scenarios) {
    const work = workOf(args, scenario);
    status = Math.max(status, args.seed === undefined ? await runSeeds(work) : await runOne(work, args.seed));
  }
  return status;
}

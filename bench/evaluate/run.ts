/**
 * Runs an evaluation: all candidates are opened on one site, and in each round each of them is measured once in each scenario, in an order
 * that rotates. What a candidate does wrong is a finding, never the end of the evaluation.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { environmentOf } from '../environment.ts';
import type { Goodput } from '../fan-out-read/floor.ts';
import type { Progress } from '../progress.ts';
import type { Running } from './candidates/candidate.ts';
import { isRunnable, lacks, open, type Runnable } from './candidates/kinds.ts';
import type { CandidateConfig, Evaluation } from './evaluation.ts';
import type { TrialJournal } from './journal.ts';
import {
  type CandidateEntry,
  type Cell,
  type EvaluatedScenario,
  type Interface,
  type Results,
  SCENARIO_NAMES,
  type ScenarioName,
  type Trial,
} from './results.ts';
import { Site } from './site.ts';
import { cellOf, figuresOf } from './summary.ts';
import { runTrial } from './trial.ts';

/** A candidate that failed so often is not tried again. */
const FAILURES_MAX = 2;
/** After what hangs was killed, until its mounts and sockets are gone. */
const SETTLE_MS = 500;
/** Of the payload, in trials that are not counted. */
const WARM_UP_PART = 4;

const payloadBytes = ({ scenarios }: Evaluation, scenario: ScenarioName): number => {
  if (scenario === 'fan-in-read') {
    const { values = 0, valueSize = 0 } = scenarios[scenario] ?? {};
    return values * valueSize;
  }
  return scenarios[scenario]?.size ?? 0;
};

const askedFor = ({ scenarios }: Evaluation): readonly ScenarioName[] =>
  SCENARIO_NAMES.filter((name) => scenarios[name] !== undefined);

function smaller(scenarios: Evaluation['scenarios']): Evaluation['scenarios'] {
  const { 'fan-out-read': read, 'fan-out-write': write, 'fan-in-read': gather } = scenarios;
  const part = (size: number) => Math.ceil(size / WARM_UP_PART);
  return {
    ...(read && { 'fan-out-read': { ...read, size: part(read.size) } }),
    ...(write && { 'fan-out-write': { ...write, size: part(write.size) } }),
    ...(gather && { 'fan-in-read': { ...gather, values: part(gather.values) } }),
  };
}

/** Candidates as they are on the site now. */
class Field implements AsyncDisposable {
  readonly #site: Site;
  readonly #evaluation: Evaluation;
  #warmUps = 0;
  readonly #running = new Map<string, Running>();
  readonly #failures = new Map<string, number>();

  constructor(site: Site, evaluation: Evaluation) {
    this.#site = site;
    this.#evaluation = evaluation;
  }

  /** Rejects when it does not start. */
  async running(config: Runnable): Promise<Running> {
    const known = this.#running.get(config.name);
    if (known !== undefined) return known;
    if ((this.#failures.get(config.name) ?? 0) >= FAILURES_MAX)
      throw new Error(`it is not tried again after it failed ${FAILURES_MAX} times`);
    const running = await open(config, this.#site);
    this.#running.set(config.name, running);
    await this.#warmUp(config, running);
    return running;
  }

  /** What a program does first is also what its compiler and its connections see first; servers of real clusters have run for long. */
  async #warmUp(config: Runnable, running: Running): Promise<void> {
    const goodput = { link: Number.POSITIVE_INFINITY, origin: Number.POSITIVE_INFINITY };
    const scenarios = smaller(this.#evaluation.scenarios);
    for (const scenario of askedFor(this.#evaluation)) {
      if (lacks(config, scenario) !== undefined) continue;
      this.#warmUps += 1;
      const context = { site: this.#site, running, scenarios, goodput, tag: `warm-${this.#warmUps}` };
      const signal = AbortSignal.timeout(this.#evaluation.timeout);
      // what fails here fails again in the trial, where it is told
      await runTrial({ candidate: config.name, scenario, round: 0 }, { ...context, signal });
    }
  }

  /** It has failed: what is left of it ends, and the next trial starts it anew. */
  async failed({ name }: Runnable): Promise<void> {
    this.#failures.set(name, (this.#failures.get(name) ?? 0) + 1);
    await this.#running.get(name)?.[Symbol.asyncDispose]();
    this.#running.delete(name);
    await sleep(SETTLE_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(Array.from(this.#running.values(), (running) => running[Symbol.asyncDispose]()));
  }
}

async function measure(
  of: Pick<Trial, 'candidate' | 'scenario' | 'round'>,
  what: { config: Runnable; field: Field; site: Site; evaluation: Evaluation; goodput: Goodput; turn: number },
): Promise<Trial> {
  const { config, field, site, evaluation, goodput, turn } = what;
  const linkMbit = config.linkMbit ?? evaluation.linkMbit;
  let running: Running;
  try {
    running = await field.running(config);
  } catch (error) {
    await field.failed(config);
    return { ...of, status: 'failed', reason: (error as Error).message, values: {} };
  }
  const setRate = (mbitPerS: number) => Promise.all(site.nodes.map(({ host }) => host.setRate(mbitPerS)));
  if (linkMbit !== evaluation.linkMbit) await setRate(linkMbit);
  const deadline = new AbortController();
  const late = new Error(`it did not end within ${evaluation.timeout / 1000} s`);
  const timer = setTimeout(() => deadline.abort(late), evaluation.timeout);
  const tag = `${of.round}-${turn}`;
  const trial = await runTrial(of, {
    site,
    running,
    scenarios: evaluation.scenarios,
    goodput,
    tag,
    signal: deadline.signal,
  });
  clearTimeout(timer);
  if (trial.status === 'failed') {
    await field.failed(config);
    if (deadline.signal.aborted) await site.restartActors();
  }
  if (linkMbit !== evaluation.linkMbit) await setRate(evaluation.linkMbit);
  return trial;
}

export interface RunOptions {
  readonly evaluation: Evaluation;
  readonly journal: TrialJournal;
  readonly shaping?: 'kernel' | 'user';
}

/** Measures what the journal does not have yet; returns how links were shaped. */
export async function runTrials({ evaluation, journal, shaping }: RunOptions, progress: Progress): Promise<string> {
  const { nodes, linkMbit, originLinks, rounds } = evaluation;
  const scenarios = askedFor(evaluation);
  const payload = Math.max(...scenarios.map((scenario) => payloadBytes(evaluation, scenario)));
  progress.say(`${nodes} nodes behind links of ${linkMbit} Mbit/s are made`);
  await using site = await Site.open({
    nodes,
    linkMbit,
    originLinks,
    payloadBytes: payload,
    ...(shaping && { shaping }),
  });
  await using field = new Field(site, evaluation);
  const candidates = evaluation.candidates.filter(isRunnable);
  let turn = 0;
  for (let round = 1; round <= rounds; round++)
    for (const scenario of scenarios) {
      const able = candidates.filter((config) => lacks(config, scenario) === undefined);
      const left = able.filter(({ name }) => !journal.has({ candidate: name, scenario, round }));
      if (left.length === 0) continue;
      const goodput = await site.goodput();
      for (let at = 0; at < able.length; at++) {
        const config = able[(at + round) % able.length] as Runnable;
        const of = { candidate: config.name, scenario, round };
        turn += 1;
        if (journal.has(of)) continue;
        progress.say(`round ${round} of ${rounds}, ${scenario}: ${config.name}`);
        journal.add(await measure(of, { config, field, site, evaluation, goodput, turn }));
      }
    }
  return site.links.shaping;
}

function cellFor(config: CandidateConfig, scenario: ScenarioName, trials: readonly Trial[]): Cell {
  const of = { candidate: config.name, scenario };
  if (!isRunnable(config)) return { ...of, status: 'not run', reason: 'it cannot be run here: documented only' };
  const reason = lacks(config, scenario);
  if (reason !== undefined) return { ...of, status: 'not applicable', reason };
  return cellOf(config.name, scenario, trials);
}

const SPEAKS: Readonly<Partial<Record<CandidateConfig['kind'], readonly Interface[]>>> = {
  forebay: ['s3', 'path', 'resp'],
  'async-copy': ['path'],
  posix: ['path'],
  s3: ['s3'],
  resp: ['resp'],
};

/** All but what names it. */
const optionsOf = (config: CandidateConfig) => JSON.stringify({ ...config, name: undefined, about: undefined });

function entryOf(config: CandidateConfig, all: readonly CandidateConfig[]): CandidateEntry {
  const { name, kind, about, copies, speaks = SPEAKS[kind] } = config;
  const twin = all.find((other) => optionsOf(other) === optionsOf(config));
  const kept = copies ?? (config.kind === 'forebay' ? config.replicas : config.kind === 'async-copy' ? 1 : undefined);
  return {
    name,
    kind,
    ...(about !== undefined && { about }),
    ...(kept !== undefined && { copies: kept }),
    ...(speaks !== undefined && { speaks }),
    ...(twin !== undefined && twin !== config && { sameAs: twin.name }),
  };
}

export function resultsOf(
  evaluation: Evaluation,
  trials: readonly Trial[],
  options: { command: string; shaping: string; directory: string },
): Results {
  const { name, question, nodes, linkMbit, originLinks, rounds, candidates } = evaluation;
  const scenarios = askedFor(evaluation);
  const cells: Cell[] = [];
  const figures: Results['figures'][number][] = [];
  for (const config of candidates)
    for (const scenario of scenarios) {
      const own = trials.filter((trial) => trial.candidate === config.name && trial.scenario === scenario);
      cells.push(cellFor(config, scenario, own));
      figures.push(...figuresOf(config.name, scenario, own));
    }
  const evaluated: EvaluatedScenario[] = scenarios.map((scenario) => ({
    name: scenario,
    sizeBytes: payloadBytes(evaluation, scenario),
    weights: evaluation.scenarios[scenario]?.weights ?? {},
  }));
  return {
    format: 1,
    name,
    question,
    command: options.command,
    environment: environmentOf(options.directory),
    shaping: options.shaping,
    nodes,
    linkMbit,
    originLinks,
    rounds,
    candidates: candidates.map((config) => entryOf(config, candidates)),
    scenarios: evaluated,
    cells,
    figures,
    trials,
  };
}

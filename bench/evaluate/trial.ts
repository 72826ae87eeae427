/** One trial of one candidate in one scenario. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CpuWatch } from '../cpu-busy.ts';
import { floorSeconds, type Goodput } from '../fan-out-read/floor.ts';
import { isArrival } from '../fan-out-write/watch.ts';
import { countRequests } from '../origin-log.ts';
import type { JobFile, Spell } from './actor-command.ts';
import type { Running } from './candidates/candidate.ts';
import type { Evaluation } from './evaluation.ts';
import type { Measure, ScenarioName, Trial } from './results.ts';
import type { Site, SiteNode } from './site.ts';

const POLL_MS = 40;
/** Of a payload that nobody has seen, less than this read from the origin came from elsewhere. */
const COLD_MIN = 0.99;
/** Ranks of each node that put values. */
const PUTTERS = 4;
/** Values that a reader asks for at once where each is a request of its own. */
const GATHER_PARALLEL = 16;

export interface TrialContext {
  readonly site: Site;
  readonly running: Running;
  readonly scenarios: Evaluation['scenarios'];
  readonly goodput: Goodput;
  /** Names what the trial writes; no other trial has it. */
  readonly tag: string;
  /** Aborts when the trial has to be over. */
  readonly signal: AbortSignal;
}

type Found = Pick<Trial, 'status' | 'reason' | 'values' | 'originBytesRatio' | 'originRequests' | 'cpuBusy' | 'floorS'>;

const span = (spells: readonly Spell[]) => ({
  fromMs: Math.min(...spells.map(({ fromMs }) => fromMs)),
  toMs: Math.max(...spells.map(({ toMs }) => toMs)),
});

/** Rejects with the signal's reason once it aborts. */
async function inTime<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason as Error);
  signal.addEventListener('abort', abort, { once: true });
  return Promise.race([work, promise]).finally(() => signal.removeEventListener('abort', abort));
}

async function fanOutRead({ site, running, scenarios, goodput, tag }: TrialContext): Promise<Found> {
  const { size = 0 } = scenarios['fan-out-read'] ?? {};
  const [file] = site.fresh([`model-${tag}`], size) as [JobFile];
  await site.origin.put({ key: file.name, ...file });
  for (const node of site.nodes) await running.warm?.(node, file);
  await site.origin.reset();
  const cpu = new CpuWatch();
  const spells = await Promise.all(
    site.nodes.map((node) => node.actor.do({ do: 'read', from: running.source(node), files: [file], parallel: 1 })),
  );
  const cpuBusy = cpu.busy();
  const requests = await site.origin.requests();
  await site.origin.remove(file.name);
  const { fromMs, toMs } = span(spells as Spell[]);
  const originBytesRatio = countRequests(requests).getBytes / size;
  const isCold = originBytesRatio >= COLD_MIN;
  return {
    status: isCold ? 'measured' : 'not cold',
    ...(!isCold && {
      reason: `of what nobody had read the origin gave ${Math.round(originBytesRatio * 100)} % while the clock ran`,
    }),
    values: { makespanS: (toMs - fromMs) / 1000 },
    originBytesRatio,
    originRequests: requests.length,
    cpuBusy,
    floorS: floorSeconds({ nodes: site.nodes.length, sizeBytes: size, goodput }),
  };
}

/** When the origin had all of these, every byte compared; milliseconds of CLOCK_MONOTONIC. */
async function untilDurable(site: Site, files: readonly JobFile[], signal: AbortSignal): Promise<number> {
  for (;;) {
    const arrivals = new Map<string, number>();
    for (const request of await site.origin.requests())
      if (isArrival(request)) arrivals.set(request.key, request.atMs as number);
    if (files.every(({ name }) => arrivals.has(name))) {
      const lacking = await site.origin.lacks(files.map(({ name, ...rest }) => ({ key: name, ...rest })));
      if (lacking.length === 0) return Math.max(...files.map(({ name }) => arrivals.get(name) as number));
    }
    await sleep(POLL_MS, undefined, { signal });
  }
}

async function fanOutWrite(context: TrialContext): Promise<Found> {
  const { site, running, scenarios, tag, signal } = context;
  const { size = 0, filesPerNode = 1 } = scenarios['fan-out-write'] ?? {};
  const each = Math.max(1, Math.floor(size / site.nodes.length / filesPerNode));
  const written = new Map<SiteNode, JobFile[]>();
  for (const node of site.nodes) {
    const names = Array.from({ length: filesPerNode }, (_, i) => `step-${tag}/${node.name}-${i}`);
    written.set(node, site.fresh(names, each));
  }
  const files = Array.from(written.values()).flat();
  await site.origin.reset();
  const cpu = new CpuWatch();
  const saving = Array.from(written, async ([node, own]) => {
    const spell = (await node.actor.do({
      do: 'save',
      ranks: own.map((file) => [file]),
      to: running.sink(node),
    })) as Spell;
    const after = running.background?.(node, own);
    // awaited below, once all ranks went on
    after?.catch(() => undefined);
    return { spell, after };
  });
  const safe = running.untilSafe?.(files, signal);
  // awaited below, once it is known when the ranks went on
  safe?.catch(() => undefined);
  const saved = await Promise.all(saving);
  for (const { after } of saved) await after;
  const durableMs = await untilDurable(site, files, signal);
  const safeMs = (await safe) ?? durableMs;
  const cpuBusy = cpu.busy();
  const requests = (await site.origin.requests()).length;
  const { fromMs, toMs } = span(saved.map(({ spell }) => spell));
  const restored = await Promise.all(
    site.nodes.map((node, at) => {
      const theirs = written.get(site.nodes[(at + 1) % site.nodes.length] as SiteNode) as JobFile[];
      return node.actor.do({ do: 'read', from: running.source(node), files: theirs, parallel: theirs.length });
    }),
  );
  const restore = span(restored as Spell[]);
  for (const { name } of files) await site.origin.remove(name);
  const since = (ms: number) => (ms - fromMs) / 1000;
  return {
    status: 'measured',
    values: {
      blockedS: since(toMs),
      // what the origin has is safe, whenever somebody says so; what ranks still write is not
      safeS: Math.max(since(toMs), since(Math.min(safeMs, durableMs))),
      durableS: since(durableMs),
      restoreS: (restore.toMs - restore.fromMs) / 1000,
    },
    originRequests: requests,
    cpuBusy,
  };
}

async function fanInRead(context: TrialContext): Promise<Found> {
  const { site, running, scenarios, goodput, tag, signal } = context;
  const { values: count = 0, valueSize = 0 } = scenarios['fan-in-read'] ?? {};
  const writers = site.nodes.slice(0, -1);
  const reader = site.nodes.at(-1) as SiteNode;
  const files = site.fresh(
    Array.from({ length: count }, (_, i) => `blocks-${tag}/${i}`),
    valueSize,
  );
  await site.origin.reset();
  const cpu = new CpuWatch();
  const put = await Promise.all(
    writers.map((node, at) => {
      const own = files.filter((_, i) => i % writers.length === at);
      const ranks = Array.from({ length: PUTTERS }, (_, rank) => own.filter((_file, i) => i % PUTTERS === rank));
      return node.actor.do({
        do: 'save',
        ranks: ranks.filter(({ length }) => length > 0),
        to: running.values.sink(node),
      });
    }),
  );
  const from = running.values.source(reader);
  if (from.via === 'http' || from.via === 'file') await untilDurable(site, files, signal);
  const gathered = (await reader.actor.do({ do: 'read', from, files, parallel: GATHER_PARALLEL })) as Spell;
  const cpuBusy = cpu.busy();
  const requests = (await site.origin.requests()).length;
  for (const { name } of files) await site.origin.remove(name);
  const putting = span(put as Spell[]);
  return {
    status: 'measured',
    values: {
      gatherS: (gathered.toMs - gathered.fromMs) / 1000,
      putS: (putting.toMs - putting.fromMs) / 1000,
    },
    originRequests: requests,
    cpuBusy,
    floorS: (count * valueSize) / goodput.link,
  };
}

const SCENARIOS = {
  'fan-out-read': fanOutRead,
  'fan-out-write': fanOutWrite,
  'fan-in-read': fanInRead,
} satisfies Record<ScenarioName, (context: TrialContext) => Promise<Found>>;

const WRONG = /wrong byte at (\d+)/;

/** Never rejects: what goes wrong is what was found. */
export async function runTrial(
  of: Pick<Trial, 'candidate' | 'scenario' | 'round'>,
  context: TrialContext,
): Promise<Trial> {
  try {
    return { ...of, ...(await inTime(SCENARIOS[of.scenario](context), context.signal)) };
  } catch (error) {
    const { message } = error as Error;
    const wrongAt = WRONG.exec(message)?.[1];
    const said = context.running.complaint.trim();
    return {
      ...of,
      status: 'failed',
      reason: said === '' ? message : `${message}; it said: ${said}`,
      ...(wrongAt !== undefined && { offset: Number(wrongAt) }),
      values: {} satisfies Partial<Record<Measure, number>>,
    };
  }
}

/** One node beside redis-server on this machine: the same client, the same call, pairs in turn; speed, and CPU time of the servers alone. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { barsSvg } from '../plot.ts';
import { cpuSeconds } from '../process-usage.ts';
import type { Progress } from '../progress.ts';
import { type Figure, figure, shown } from '../result.ts';
import { difference, type Interval, interleave, median, ratio, type Target } from '../statistics.ts';
import { findTool } from '../tool.ts';
import { Bench } from './local-nodes.ts';
import type { FanInReadOptions, LoadSize, Measured, Part } from './part.ts';
import { RedisServer } from './redis-server.ts';
import type { Load } from './resp-load.ts';
import { respOf } from './rig.ts';

const CONNECTIONS = 8;
const GB = 1e9;
const MiB = 2 ** 20;
const BENCHMARK_BYTES_MAX = MiB;
const BENCHMARK_ROUNDS = 3;
/** Replaced values may stay until their readers are done; and a share in which 32,768 values of 64 KiB fit has them in packs. */
const ROOM = 4;
/** SETs of large values wear the machine's memory more than they tell. */
const SET_PAIRS = 10;

const SPEED_TARGETS: Readonly<Record<string, Target>> = {
  '1KiB': { atLeast: 0.6 },
  '1MiB': { atLeast: 1.3 },
  '32MiB': { atLeast: 1.5 },
};
const CPU_TARGETS: Readonly<Record<string, Target>> = { '1MiB': { atMost: 0.7 }, '32MiB': { atMost: 0.7 } };

interface Side {
  readonly name: string;
  /** The RESP door. */
  readonly host: string;
  readonly pid: number;
}

interface Trial {
  readonly perS: number;
  /** Of the server, per request. */
  readonly cpuS: number;
  /** Cores that the client kept busy. */
  readonly clientBusy: number;
}

type Pairs = readonly { readonly ours: Trial; readonly baseline: Trial }[];

class Comparison {
  readonly #bench: Bench;
  readonly #options: FanInReadOptions;
  readonly #progress: Progress;
  readonly #sides: { readonly ours: Side; readonly baseline: Side };
  /** Seeds of values that are set again and again: bytes that were there would not be written. */
  #nextSeed = 1_000_000;

  constructor(bench: Bench, sides: { ours: Side; baseline: Side }, options: FanInReadOptions, progress: Progress) {
    this.#bench = bench;
    this.#sides = sides;
    this.#options = options;
    this.#progress = progress;
  }

  #load(side: Side, size: LoadSize, more: Pick<Load, 'op' | 'requests' | 'firstSeed'> & Partial<Load>) {
    const { keys, sizeBytes, name } = size;
    const base = { host: side.host, connections: CONNECTIONS, prefix: `${more.op}:${name}:`, keys, sizeBytes };
    return this.#bench.kv.load({ ...base, ...more });
  }

  async #trial(side: Side, size: LoadSize, more: Pick<Load, 'op' | 'requests' | 'firstSeed'>): Promise<Trial> {
    const cpuFrom = cpuSeconds(side.pid);
    const { seconds, clientCpuS } = await this.#load(side, size, more);
    const cpuS = (cpuSeconds(side.pid) - cpuFrom) / more.requests;
    return { perS: more.requests / seconds, cpuS, clientBusy: clientCpuS / seconds };
  }

  #both<T>(run: (side: Side) => Promise<T>): { ours(): Promise<T>; baseline(): Promise<T> } {
    return { ours: () => run(this.#sides.ours), baseline: () => run(this.#sides.baseline) };
  }

  async gets(size: LoadSize): Promise<Pairs> {
    const { keys, gets, name } = size;
    const prefix = `get:${name}:`;
    const check = (side: Side) =>
      this.#load(side, size, { op: 'get', requests: keys, firstSeed: 1, prefix, verify: true });
    for (const side of [this.#sides.ours, this.#sides.baseline]) {
      await this.#load(side, size, { op: 'set', requests: keys, firstSeed: 1, prefix });
      await check(side);
    }
    const run = (side: Side) => this.#trial(side, size, { op: 'get', requests: gets, firstSeed: 1 });
    for (const side of [this.#sides.ours, this.#sides.baseline]) await run(side);
    const pairs = await interleave(this.#options.shortPairs, this.#both(run), (done) =>
      this.#progress.say(`GET ${name}, pair`, done, this.#options.shortPairs),
    );
    for (const side of [this.#sides.ours, this.#sides.baseline]) await check(side);
    return pairs;
  }

  async sets(size: LoadSize): Promise<Pairs> {
    const { keys, sets, name } = size;
    const count = Math.min(SET_PAIRS, this.#options.shortPairs);
    const last = new Map<Side, number>();
    const run = (side: Side) => {
      const firstSeed = this.#nextSeed;
      this.#nextSeed += sets;
      last.set(side, firstSeed + sets - keys);
      return this.#trial(side, size, { op: 'set', requests: sets, firstSeed });
    };
    const pairs = await interleave(count, this.#both(run), (done) =>
      this.#progress.say(`SET ${name}, pair`, done, count),
    );
    for (const [side, firstSeed] of last)
      await this.#load(side, size, { op: 'get', requests: keys, firstSeed, prefix: `set:${name}:`, verify: true });
    return pairs;
  }

  /** Requests per second of redis-benchmark, by its test. */
  async redisBenchmark(size: LoadSize): Promise<Record<'GET' | 'SET', Interval> | undefined> {
    const tool = findTool('redis-benchmark');
    if (tool === undefined || size.sizeBytes > BENCHMARK_BYTES_MAX) return undefined;
    this.#progress.say(`redis-benchmark, ${size.name}`);
    const run = async ({ host }: Side) => {
      const [address = '', port = ''] = host.split(':');
      const args = [
        '-h',
        address,
        '-p',
        port,
        '-c',
        String(CONNECTIONS),
        '-n',
        String(size.gets),
        '-d',
        String(size.sizeBytes),
      ];
      const { stdout } = await promisify(execFile)(tool, [...args, '-t', 'set,get', '--csv'], { timeout: 120_000 });
      const rate = (test: string) => Number(new RegExp(`^"${test}","([0-9.]+)"`, 'm').exec(stdout)?.[1]);
      const rates = { GET: rate('GET'), SET: rate('SET') };
      if (!(rates.GET > 0 && rates.SET > 0)) throw new Error(`redis-benchmark says ${stdout.slice(0, 200)}`);
      return rates;
    };
    const count = Math.min(BENCHMARK_ROUNDS, this.#options.shortPairs);
    const pairs = await interleave(count, this.#both(run)).catch((error: unknown) => {
      // It ends at the first error of a server. Its word is only shown, and no reason to throw away what was measured.
      this.#progress.say(
        `redis-benchmark, ${size.name}: ${(error as { stderr?: string }).stderr?.trim() || String(error)}`,
      );
      return undefined;
    });
    if (pairs === undefined) return undefined;
    const of = (test: 'GET' | 'SET') =>
      ratio(pairs.map(({ ours, baseline }) => ({ ours: ours[test], baseline: baseline[test] })));
    return { GET: of('GET'), SET: of('SET') };
  }
}

const of = (pairs: Pairs, side: 'ours' | 'baseline', value: (trial: Trial) => number): number =>
  median(pairs.map((pair) => value(pair[side])));

function rateText(pairs: Pairs, { sizeBytes }: LoadSize, baseline: string): string {
  const isLarge = sizeBytes >= MiB;
  const text = (side: 'ours' | 'baseline') =>
    shown(of(pairs, side, ({ perS }) => (isLarge ? (perS * sizeBytes) / GB : perS)));
  const busy = shown(
    Math.max(
      of(pairs, 'ours', ({ clientBusy }) => clientBusy),
      of(pairs, 'baseline', ({ clientBusy }) => clientBusy),
    ),
  );
  return `${text('ours')} against ${baseline}'s ${text('baseline')} ${isLarge ? 'GB/s' : '/s'}; client ${busy} of a core`;
}

function ratioOf(pairs: Pairs, value: (trial: Trial) => number): Interval {
  return ratio(pairs.map(({ ours, baseline }) => ({ ours: value(ours), baseline: value(baseline) })));
}

function getFigures(
  pairs: Pairs,
  size: LoadSize,
  options: { self: boolean; baseline: string },
): Record<string, Figure> {
  const speed = ratioOf(pairs, ({ perS }) => perS);
  const cpu = ratioOf(pairs, ({ cpuS }) => cpuS);
  const told = (interval: Interval, text: string) => (options.self ? `${difference(interval)}; ${text}` : text);
  const micros = (side: 'ours' | 'baseline') => shown(1e6 * of(pairs, side, ({ cpuS }) => cpuS));
  const target = (targets: Readonly<Record<string, Target>>) => {
    const found = options.self ? undefined : targets[size.name];
    return found === undefined ? {} : { target: found };
  };
  return {
    [`redisRatio${size.name}`]: figure(speed, '', {
      ...target(SPEED_TARGETS),
      beside: told(speed, rateText(pairs, size, options.baseline)),
    }),
    [`redisCpuRatio${size.name}`]: figure(cpu, '', {
      ...target(CPU_TARGETS),
      beside: told(cpu, `${micros('ours')} against ${options.baseline}'s ${micros('baseline')} µs of CPU per GET`),
    }),
  };
}

async function compare(comparison: Comparison, options: FanInReadOptions, baseline: string): Promise<Measured> {
  const figures: Record<string, Figure> = {};
  const trials: Record<string, readonly unknown[]> = {};
  const bars: { label: string; value: number; low: number; high: number; colour: number }[] = [];
  for (const size of options.loads) {
    const gets = await comparison.gets(size);
    Object.assign(figures, getFigures(gets, size, { self: options.self, baseline }));
    trials[`get${size.name}`] = gets;
    const interval = ratioOf(gets, ({ perS }) => perS);
    bars.push({ label: `GET ${size.name}`, value: interval.median, low: interval.low, high: interval.high, colour: 0 });
    if (options.self) continue;
    const sets = await comparison.sets(size);
    const set = ratioOf(sets, ({ perS }) => perS);
    figures[`redisSetRatio${size.name}`] = figure(set, '', { beside: rateText(sets, size, baseline) });
    trials[`set${size.name}`] = sets;
    bars.push({ label: `SET ${size.name}`, value: set.median, low: set.low, high: set.high, colour: 2 });
    const benchmark = await comparison.redisBenchmark(size);
    for (const test of ['GET', 'SET'] as const)
      if (benchmark)
        figures[`redisBenchmark${test}${size.name}`] = figure(benchmark[test], '', {
          beside: `what redis-benchmark -c ${CONNECTIONS} says of Forebay ÷ of redis`,
        });
  }
  return {
    figures,
    trials,
    plots: { redis: barsSvg({ title: `Requests per second ÷ ${baseline}'s, 8 connections`, unit: '×', bars }) },
  };
}

export const redisPart: Part = {
  figures: ['redisRatio', 'redisCpuRatio', 'redisSetRatio', 'redisBenchmark'],
  async run(options, progress) {
    const held = options.loads.reduce((sum, { keys, sizeBytes }) => sum + 2 * keys * sizeBytes, 0);
    await using bench = await Bench.open(2 * ROOM * held, options.directory);
    const daemon = await bench.startNode('forebay', ROOM * held);
    const ours = { name: 'Forebay', host: respOf(daemon), pid: daemon.pid };
    const baseline = await startBaseline(bench, ROOM * held, options);
    const name = options.self ? 'itself' : 'redis';
    return await compare(new Comparison(bench, { ours, baseline }, options, progress), options, name);
  },
};

async function startBaseline(bench: Bench, shareBytes: number, options: FanInReadOptions): Promise<Side> {
  if (options.self) {
    const daemon = await bench.startNode('itself', shareBytes);
    return { name: 'Forebay itself', host: respOf(daemon), pid: daemon.pid };
  }
  const redis = await RedisServer.start(join(bench.directory, 'redis'));
  bench.stack.defer(() => redis.stop());
  return { name: 'redis', host: redis.host, pid: redis.pid };
}

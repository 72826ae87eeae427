/** The command line of `bench fan-in-read`. */
import { accessSync, constants } from 'node:fs';
import { kernelShapingLacks } from '../links/links.ts';
import { numberOf, type OptionValues, type Scenario, WrongUse } from '../scenario.ts';
import { findTool } from '../tool.ts';
import { FAN_IN_READ_FIGURES, runFanInRead } from './fan-in-read.ts';
import type { FanInReadOptions, LoadSize } from './part.ts';
import { CONVERSATION_TRACE } from './trace.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const NODES = 8;
const BLOCKS = 64;
/** What the nodes can keep up with on two cores; proxies of ours can carry less. */
const LINK_MBIT = 250;
const LINK_MBIT_USER = 100;
const PAIRS = 5;
const SHORT_PAIRS = 30;
const FULL = { pairs: 10, shortPairs: 60, lookups: 50_000, cacheBlocks: [10_000, 30_000] } as const;
const PROBE_LOOKUPS = 150;
const LOOKUPS = 10_000;
const PRESS_NODES = 3;
/** The trace lasts an hour: this brings it down to a minute. */
const SPEED = 60;
const CACHE_BLOCKS: readonly number[] = [10_000];

/** A trial of each takes a quarter to half a second. */
const LOADS: readonly LoadSize[] = [
  { name: '1KiB', sizeBytes: KiB, keys: 64, gets: 16_000, sets: 6400 },
  { name: '64KiB', sizeBytes: 64 * KiB, keys: 16, gets: 6400, sets: 1600 },
  { name: '1MiB', sizeBytes: MiB, keys: 8, gets: 512, sets: 128 },
  { name: '32MiB', sizeBytes: 32 * MiB, keys: 8, gets: 32, sets: 8 },
];

function onlyOf(values: OptionValues): readonly string[] {
  const only = (values['only'] ?? []) as readonly string[];
  const unknown = only.find((name) => !FAN_IN_READ_FIGURES.some((figure) => name.startsWith(figure)));
  if (unknown !== undefined) throw new WrongUse(`unknown figure: ${unknown}`);
  return only;
}

function traceOf(values: OptionValues): string {
  const file = (values['trace'] as string | undefined) ?? CONVERSATION_TRACE;
  try {
    accessSync(file, constants.R_OK);
  } catch {
    throw new WrongUse(`--trace ${file}: there is no such file`);
  }
  return file;
}

function shapingOf(values: OptionValues): 'kernel' | 'user' {
  const shaping = values['shaping'];
  if (shaping !== undefined && shaping !== 'kernel' && shaping !== 'user')
    throw new WrongUse(`--shaping ${String(shaping)}: expected kernel or user`);
  const lacks = kernelShapingLacks();
  if (shaping === 'kernel' && lacks !== undefined) throw new WrongUse(`--shaping kernel: ${lacks} is missing`);
  return shaping ?? (lacks === undefined ? 'kernel' : 'user');
}

function optionsOf(values: OptionValues): FanInReadOptions {
  const shaping = shapingOf(values);
  const isFull = values['full'] === true;
  const directory = values['directory'] as string | undefined;
  const cacheBlocks = numberOf(values, 'cache-blocks', { min: 100, max: 1_000_000 });
  const pairs = numberOf(values, 'pairs', { min: 1, max: 1000 });
  return {
    nodes: numberOf(values, 'nodes', { min: 2, max: 64 }) ?? NODES,
    linkMbit: numberOf(values, 'link', { min: 10, max: 10_000 }) ?? (shaping === 'kernel' ? LINK_MBIT : LINK_MBIT_USER),
    shaping,
    blocks: BLOCKS,
    blockBytes: MiB,
    pairs: pairs ?? (isFull ? FULL.pairs : PAIRS),
    shortPairs: pairs ?? (isFull ? FULL.shortPairs : SHORT_PAIRS),
    loads: LOADS,
    probeLookups: PROBE_LOOKUPS,
    pressLookups: numberOf(values, 'lookups', { min: 100, max: 10_000_000 }) ?? (isFull ? FULL.lookups : LOOKUPS),
    pressNodes: PRESS_NODES,
    traceFile: traceOf(values),
    traceRequestsMax: Number.MAX_SAFE_INTEGER,
    speed: numberOf(values, 'speed', { min: 0.1, max: 1_000_000, whole: false }) ?? SPEED,
    cacheBlocks: cacheBlocks !== undefined ? [cacheBlocks] : isFull ? FULL.cacheBlocks : CACHE_BLOCKS,
    slow: values['slow'] === true || isFull,
    dead: values['dead'] === true || isFull,
    self: values['self'] === true,
    full: isFull,
    only: onlyOf(values),
    ...(directory !== undefined && { directory }),
  };
}

export const fanInReadScenario: Scenario = {
  name: 'fan-in-read',
  synopsis: 'fan-in-read [--nodes N] [--trace FILE --speed X --cache-blocks N] [--only FIGURE]… [--slow] [--dead]',
  help: `values of kv volumes: gathered from N nodes behind shaped links, one node beside redis-server, lookups at a cache
  that is too small, and a trace of conversations beside an ideal LRU, within 10 minutes
  --nodes N            nodes that hold values, besides the reader (default: ${NODES})
  --link MBIT          each node's link, Mbit/s in each direction (default: ${LINK_MBIT}, without root ${LINK_MBIT_USER})
  --slow               also gather with one node at a tenth of its link
  --dead               also kill a node, and look how long others wait for it
  --lookups N          at the cache that is too small (default: ${LOOKUPS}, with --full ${FULL.lookups})
  --trace FILE         Mooncake's rows (default: an hour of conversations that comes along)
  --speed X            the trace's time ÷ time (default: ${SPEED})
  --cache-blocks N     room for this many blocks (default: ${CACHE_BLOCKS.join(', ')}, with --full ${FULL.cacheBlocks.join(' and ')})
  --pairs N            rounds (default: ${PAIRS}, beside redis ${SHORT_PAIRS}; with --full ${FULL.pairs} and ${FULL.shortPairs})
  --only FIGURE        measure only what gives this one; may be repeated:
                       ${FAN_IN_READ_FIGURES.join(', ')}
  --shaping HOW        kernel (as root: network namespaces and tbf) or user (proxies); default: kernel as root
  --directory DIR      where caches lie meanwhile (default: tmpfs)`,
  options: {
    nodes: { type: 'string' },
    link: { type: 'string' },
    slow: { type: 'boolean', default: false },
    dead: { type: 'boolean', default: false },
    lookups: { type: 'string' },
    trace: { type: 'string' },
    speed: { type: 'string' },
    'cache-blocks': { type: 'string' },
    pairs: { type: 'string' },
    only: { type: 'string', multiple: true, default: [] },
    shaping: { type: 'string' },
    directory: { type: 'string' },
  },
  async run(values, progress) {
    const options = optionsOf(values);
    if (findTool('redis-server') === undefined)
      throw new WrongUse('install redis-server first: a bench needs its baseline');
    return runFanInRead(options, progress);
  },
};

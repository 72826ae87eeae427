/** A reader gathers blocks that lie on several nodes, over shaped links; also beside a slow node, and after one has died. */
import { kvPeerMs } from '../../src/core/kv-limits.ts';
import { CPU_BUSY_MAX, CpuWatch } from '../cpu-busy.ts';
import { barsSvg } from '../plot.ts';
import type { Progress } from '../progress.ts';
import { type Figure, figure, shown, single } from '../result.ts';
import { bootstrap, interleave, median, quantile, ratio } from '../statistics.ts';
import type { Gathered, Probed, Values } from './kv-command.ts';
import type { FanInReadOptions, Measured, Part } from './part.ts';
import { Rig, type RigNode, respOf } from './rig.ts';

const EFFICIENCY_MIN = 0.9;
const PROBE_VALUES = 256;
const PROBE_BYTES = 16 * 1024;
const KEYS_PER_LOOKUP = 8;
/** Of its link, in the part with a slow node. */
const SLOW = 0.1;
const P99 = 0.99;
/** On a machine whose nodes share two cores a timer may be so late. */
const TIMER_LATE_MS = 50;

interface Trial extends Gathered {
  readonly goodput: number;
  readonly cpuBusy: number;
}

interface Gather {
  readonly rig: Rig;
  readonly blocks: Values;
  readonly probes: Values;
  readonly options: FanInReadOptions;
}

async function gatherOnce({ rig, blocks }: Gather, from: 'forebay' | 'redis', goodput: number): Promise<Trial> {
  const host = from === 'forebay' ? respOf(rig.reader.daemon) : rig.redisAddress;
  const watch = new CpuWatch();
  const gathered = await rig.reader.kv.gather({ host, values: blocks, lookup: from === 'forebay' });
  if (gathered.misses > 0) throw new Error(`${gathered.misses} of ${blocks.count} values were not there`);
  return { ...gathered, goodput, cpuBusy: watch.busy() };
}

const floorS = ({ blocks }: Gather, goodput: number) => (blocks.count * blocks.sizeBytes) / goodput;

async function gatherFigures(gather: Gather, progress: Progress): Promise<Measured> {
  const { rig, options } = gather;
  progress.say('not counted: the first gather');
  const first = await rig.goodput();
  for (const from of ['forebay', 'redis'] as const) await gatherOnce(gather, from, first);
  let goodput = 0;
  const pairs = await interleave(options.pairs, {
    ours: async () => gatherOnce(gather, 'forebay', (goodput = await rig.goodput())),
    baseline: async () => gatherOnce(gather, 'redis', goodput || (await rig.goodput())),
  });
  const busy = median(pairs.map(({ ours }) => ours.cpuBusy));
  const efficiencies = pairs.map(({ ours }) => floorS(gather, ours.goodput) / ours.seconds);
  const took = (of: 'ours' | 'baseline') => bootstrap(pairs.map((pair) => pair[of].seconds));
  const [ours, redis] = [took('ours'), took('baseline')];
  const link = median(pairs.map((pair) => pair.ours.goodput));
  const mib = (gather.blocks.count * gather.blocks.sizeBytes) / 2 ** 20;
  return {
    figures: {
      gatherEfficiency: figure(bootstrap(efficiencies), '', {
        target: { atLeast: EFFICIENCY_MIN },
        inconclusive: busy > CPU_BUSY_MAX,
        beside: `${shown(mib)} MiB from ${options.nodes} nodes in ${shown(ours.median)} s, lookup ${shown(1000 * median(pairs.map((pair) => pair.ours.lookupS)))} ms; raw TCP ${shown((link * 8) / 1e6)} Mbit/s; CPU ${shown(busy)} busy`,
      }),
      gatherSpeedup: figure(
        ratio(pairs.map((pair) => ({ ours: pair.baseline.seconds, baseline: pair.ours.seconds }))),
        '×',
        { beside: `one redis on one of the nodes: ${shown(redis.median)} s; both are bound by the reader's link` },
      ),
    },
    trials: { gather: pairs },
    plots: {
      gather: barsSvg({
        title: `${shown(mib)} MiB in ${gather.blocks.count} values to one reader`,
        unit: 's',
        bars: [
          { label: 'floor (raw TCP)', value: floorS(gather, link) },
          { label: `Forebay, ${options.nodes} nodes`, value: ours.median, low: ours.low, high: ours.high },
          { label: 'redis, one node', value: redis.median, low: redis.low, high: redis.high },
        ],
      }),
    },
  };
}

function probe({ rig, probes, options }: Gather): Promise<Probed> {
  const host = respOf(rig.reader.daemon);
  return rig.reader.kv.probe({ host, values: probes, keysPerLookup: KEYS_PER_LOOKUP, lookups: options.probeLookups });
}

const p99 = (values: readonly number[]): number => (values.length === 0 ? 0 : quantile(values, P99));
const p50 = (values: readonly number[]): number => (values.length === 0 ? 0 : median(values));

function probeFigures(
  probed: Probed,
  suffix: string,
  mostMs?: { lookup: number; get: number },
): Record<string, Figure> {
  const told = (name: string, values: readonly number[], atMost: number | undefined, what: string) => ({
    [`${name}P99Ms${suffix}`]: single(p99(values), 'ms', {
      ...(atMost !== undefined && { target: { atMost } }),
      beside: `of ${shown(values.length)} ${what}, median ${shown(p50(values))} ms, slowest ${shown(Math.max(0, ...values))} ms`,
    }),
  });
  return {
    ...told('lookup', probed.lookupMs, mostMs?.lookup, `lookups of ${KEYS_PER_LOOKUP} keys on as many nodes`),
    ...told('get', probed.getMs, mostMs?.get, `values of ${PROBE_BYTES / 1024} KiB from other nodes`),
  };
}

async function probePart(gather: Gather, progress: Progress): Promise<{ measured: Measured; probed: Probed }> {
  progress.say('lookups and reads of small values over the links');
  await probe(gather);
  const probed = await probe(gather);
  if (probed.missed > 0) throw new Error(`${probed.missed} values were promised and not there`);
  return { probed, measured: { figures: probeFigures(probed, ''), trials: { probe: [probed] } } };
}

/** Everything that the slow node has must come over its link. */
async function slowPart(gather: Gather, progress: Progress): Promise<Measured> {
  const { rig, options } = gather;
  const slow = rig.holders.at(-1) as RigNode;
  const goodput = await rig.goodput();
  progress.say(`gathers with ${slow.name} at a tenth of its link`);
  await slow.host.setRate(options.linkMbit * SLOW);
  try {
    const trials: Trial[] = [];
    for (let i = 0; i < Math.min(3, options.pairs); i++) trials.push(await gatherOnce(gather, 'forebay', goodput));
    const theirs = Math.floor(gather.blocks.count / options.nodes) * gather.blocks.sizeBytes;
    const floor = Math.max(floorS(gather, goodput), theirs / (goodput * SLOW));
    return {
      figures: {
        gatherEfficiencySlow: figure(bootstrap(trials.map(({ seconds }) => floor / seconds)), '', {
          beside: `${shown(median(trials.map(({ seconds }) => seconds)))} s; what the slow node has takes ${shown(floor)} s on its link`,
        }),
      },
      trials: { gatherSlow: trials },
    };
  } finally {
    await slow.host.setRate(options.linkMbit);
  }
}

/** A node dies; what it had is missed, and nobody waits longer for it than configured. */
async function deadPart(gather: Gather, before: Probed, progress: Progress): Promise<Measured> {
  const { rig, options } = gather;
  const dead = rig.holders.at(-1) as RigNode;
  const goodput = await rig.goodput();
  progress.say(`${dead.name} is killed`);
  await dead.daemon.kill();
  const probed = await probe(gather);
  const gathered = await rig.reader.kv.gather({
    host: respOf(rig.reader.daemon),
    values: gather.blocks,
    lookup: false,
  });
  const had = Math.floor(gather.blocks.count / options.nodes);
  const most = (values: readonly number[]) => p99(values) + kvPeerMs + TIMER_LATE_MS;
  const figures = probeFigures(probed, 'Dead', { lookup: most(before.lookupMs), get: most(before.getMs) });
  return {
    figures: {
      ...figures,
      gatherMissesDead: single(gathered.misses, '', {
        target: { atMost: had },
        beside: `of the ${had} values that the dead node had; the others came in ${shown(gathered.seconds)} s, the floor of all is ${shown(floorS(gather, goodput))} s`,
      }),
    },
    trials: { probeDead: [probed], gatherDead: [gathered] },
  };
}

export const gatherPart: Part = {
  figures: ['gatherEfficiency', 'gatherSpeedup', 'lookupP99Ms', 'getP99Ms', 'gatherMissesDead'],
  async run(options, progress) {
    progress.say(`${options.nodes} nodes and a reader behind links of ${options.linkMbit} Mbit/s are made`);
    await using rig = await Rig.open(options);
    const blocks = { prefix: 'block:', count: options.blocks, sizeBytes: options.blockBytes, firstSeed: 1 };
    const probes = { prefix: 'small:', count: PROBE_VALUES, sizeBytes: PROBE_BYTES, firstSeed: 100_000 };
    const gather = { rig, blocks, probes, options };
    for (const values of [blocks, probes]) await rig.spread(values);
    await rig.gatherInRedis(blocks);
    const { measured, probed } = await probePart(gather, progress);
    const parts = [await gatherFigures(gather, progress), measured];
    if (options.slow) parts.push(await slowPart(gather, progress));
    if (options.dead) parts.push(await deadPart(gather, probed, progress));
    return {
      figures: Object.assign({}, ...parts.map(({ figures }) => figures)) as Measured['figures'],
      trials: Object.assign({}, ...parts.map(({ trials }) => trials)) as Measured['trials'],
      plots: Object.assign({}, ...parts.map(({ plots }) => plots ?? {})) as Record<string, string>,
    };
  },
};

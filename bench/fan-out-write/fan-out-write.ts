/**
 * `bench fan-out-write`: N nodes write a checkpoint (DESIGN.md section 12). Every candidate saves in every round, in an order that
 * rotates, over links whose raw goodput is measured in the same round. The stall is measured on the machine's disk, everything that
 * links bound in memory.
 */
import { environmentOf } from '../environment.ts';
import type { Progress } from '../progress.ts';
import { type Figure, figure, shown } from '../result.ts';
import type { Outcome } from '../scenario.ts';
import { difference, median, type Pair, ratio } from '../statistics.ts';
import { measure, needsForebay } from './candidates.ts';
import { killsPart } from './kills-part.ts';
import { linksPart, unevenPart } from './links-part.ts';
import { checkpointFor, type FanOutWriteOptions, type Part, type PartName, rigOptions } from './part.ts';
import { restorePart } from './restore-part.ts';
import { Rig } from './rig.ts';
import { smallPart } from './small-part.ts';
import { stallPart } from './stall.ts';

/** Parts that share a rig. */
const IN_MEMORY = {
  links: linksPart,
  restore: restorePart,
  small: smallPart,
  kills: killsPart,
} as const satisfies Partial<
  Record<PartName, (rig: Rig, options: FanOutWriteOptions, progress: Progress) => Promise<Part>>
>;

/** Forebay beside itself, by the S3 door. */
async function selfPart(rig: Rig, options: FanOutWriteOptions, progress: Progress): Promise<Part> {
  const once = async () => {
    const step = rig.freshStep();
    const { durableS = Number.NaN } = await measure(rig, step, 'local');
    await rig.forget(step);
    return durableS;
  };
  await once();
  const pairs: Pair[] = [];
  for (let i = 0; i < options.rounds; i++) {
    progress.say(`self, pair ${i + 1} of ${options.rounds}`);
    const [first, second] = [await once(), await once()];
    pairs.push(i % 2 === 0 ? { ours: first, baseline: second } : { ours: second, baseline: first });
  }
  const interval = ratio(pairs);
  const text = `durable after ${shown(median(pairs.map((pair) => pair.ours)))} and ${shown(median(pairs.map((pair) => pair.baseline)))} s`;
  return {
    figures: { selfRatio: figure(interval, '', { beside: `${difference(interval)}; ${text}` }) },
    trials: { self: pairs },
  };
}

async function partsOf(options: FanOutWriteOptions, progress: Progress): Promise<readonly Part[]> {
  const parts: Part[] = [];
  const wants = (name: PartName) => options.parts.includes(name) && !options.self;
  if (wants('stall')) parts.push(await stallPart(options, progress));
  const shared = (Object.keys(IN_MEMORY) as (keyof typeof IN_MEMORY)[]).filter(wants);
  if (shared.length > 0 || options.self) {
    progress.say(`${options.nodes} nodes behind links of ${options.linkMbit} Mbit/s are made`);
    const checkpoint = checkpointFor(options);
    await using rig = await Rig.open(rigOptions(options, { checkpoint, place: 'memory' }));
    if (options.self) parts.push(await selfPart(rig, options, progress));
    for (const name of shared) parts.push(await IN_MEMORY[name](rig, options, progress));
  }
  if (wants('uneven') && !options.uneven) parts.push(await unevenPart(options, progress));
  return parts;
}

export async function runFanOutWrite(options: FanOutWriteOptions, progress: Progress): Promise<Outcome> {
  const environment = environmentOf(options.directory ?? '/tmp');
  const parts = await partsOf(options, progress);
  const merged = <T>(of: (part: Part) => Readonly<Record<string, T>> | undefined) =>
    Object.assign({}, ...parts.map((part) => of(part) ?? {})) as Record<string, T>;
  return {
    result: {
      scenario: 'fan-out-write',
      environment,
      parameters: {
        ...options,
        shaping:
          options.shaping === 'kernel' ? 'kernel (network namespaces, tbf)' : 'user space (proxies with token buckets)',
        sizeBytes: checkpointFor(options).sizeBytes,
        stallSizeBytes: checkpointFor(options, { scale: options.stallScale }).sizeBytes,
        stallOn: 'the disk of the temporary directory, which all nodes share',
        othersOn: 'tmpfs',
        forebay: options.candidates.some(needsForebay),
      },
      figures: merged<Figure>(({ figures }) => figures),
      trials: merged<readonly unknown[]>(({ trials }) => trials),
    },
    plots: merged<string>(({ plots }) => plots),
  };
}

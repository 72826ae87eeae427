/** The command line of `bench fan-out-read`. */
import { kernelShapingLacks } from '../links/links.ts';
import { numberOf, type OptionValues, type Scenario, WrongUse } from '../scenario.ts';
import { runFanOutRead } from './fan-out-read.ts';
import type { FanOutReadOptions } from './part.ts';

const NODES = 8;
const CHUNKS = 64;
const CHUNK_MIB = 8;
const ORIGIN_LINKS = 2;
/** What eight nodes can keep up with on two cores; proxies of ours can carry less. */
const LINK_MBIT = 250;
const LINK_MBIT_USER = 100;

function optionsOf(values: OptionValues): FanOutReadOptions {
  const shaping = values['shaping'] as string | undefined;
  if (shaping !== undefined && shaping !== 'kernel' && shaping !== 'user')
    throw new WrongUse(`--shaping ${shaping}: expected kernel or user`);
  const lacks = kernelShapingLacks();
  if (shaping === 'kernel' && lacks !== undefined) throw new WrongUse(`--shaping kernel: ${lacks} is missing`);
  const isKernel = shaping === 'kernel' || (shaping === undefined && lacks === undefined);
  const nodes = numberOf(values, 'nodes', { min: 2, max: 64 }) ?? NODES;
  const directory = values['directory'] as string | undefined;
  const count = (name: string) => numberOf(values, name, { min: 0, max: nodes - 1 }) ?? 0;
  return {
    nodes,
    chunks: numberOf(values, 'chunks', { min: 1, max: 4096 }) ?? CHUNKS,
    chunkMiB: numberOf(values, 'chunk-mib', { min: 1, max: 32 }) ?? CHUNK_MIB,
    linkMbit: numberOf(values, 'link', { min: 10, max: 10_000 }) ?? (isKernel ? LINK_MBIT : LINK_MBIT_USER),
    originLinks: numberOf(values, 'origin-links', { min: 0.1, max: 64, whole: false }) ?? ORIGIN_LINKS,
    shaping: isKernel ? 'kernel' : 'user',
    pairs: numberOf(values, 'pairs', { min: 1, max: 100 }) ?? (values['full'] ? 10 : 5),
    kill: count('kill'),
    slow: count('slow'),
    late: values['late'] === true,
    predict: values['predict'] === true || values['full'] === true,
    sweep: values['sweep'] === true || values['full'] === true,
    full: values['full'] === true,
    self: values['self'] === true,
    ...(directory !== undefined && { directory }),
  };
}

export const fanOutReadScenario: Scenario = {
  name: 'fan-out-read',
  synopsis:
    'fan-out-read [--nodes N] [--chunks N] [--link MBIT] [--origin-links X] [--kill K] [--slow K] [--late] [--predict] [--sweep]',
  help: `one object to N nodes behind shaped links, against each of them reading from the origin, within 10 minutes
  --nodes N            nodes (default: ${NODES})
  --chunks N           chunks of the object (default: ${CHUNKS})
  --chunk-mib N        MiB of a chunk (default: ${CHUNK_MIB}: N caches fit the memory)
  --link MBIT          each node's link, Mbit/s in each direction (default: ${LINK_MBIT}, without root ${LINK_MBIT_USER})
  --origin-links X     the origin's link ÷ a node's (default: ${ORIGIN_LINKS})
  --pairs N            rounds (default: 5, baselines in 2 of them; with --full 10, baselines in all)
  --kill K             also kill K nodes midway: the others must finish
  --slow K             also give K nodes a tenth of the link
  --late               also let one node come when the others are done
  --predict            also compare 2 and 4 nodes with the simulator
  --shaping HOW        kernel (as root: network namespaces and tbf) or user (proxies); default: kernel as root
  --directory DIR      where caches lie meanwhile (default: tmpfs)
  --sweep              also sweep the origin's link from 1 to 16 (10 minutes with --chunk-mib 2 --pairs 1)
  --full               --predict and --sweep, and more rounds`,

  options: {
    nodes: { type: 'string' },
    chunks: { type: 'string' },
    'chunk-mib': { type: 'string' },
    link: { type: 'string' },
    'origin-links': { type: 'string' },
    pairs: { type: 'string' },
    kill: { type: 'string' },
    slow: { type: 'string' },
    late: { type: 'boolean', default: false },
    predict: { type: 'boolean', default: false },
    sweep: { type: 'boolean', default: false },
    shaping: { type: 'string' },
    directory: { type: 'string' },
  },
  run: (values, progress) => runFanOutRead(optionsOf(values), progress),
};

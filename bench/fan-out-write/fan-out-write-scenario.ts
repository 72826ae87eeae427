/** The command line of `bench fan-out-write`. */
import { kernelShapingLacks } from '../links/links.ts';
import { numberOf, type OptionValues, type Scenario, WrongUse } from '../scenario.ts';
import { CANDIDATE_NAMES } from './candidates.ts';
import { PROFILE_NAMES } from './checkpoint.ts';
import { runFanOutWrite } from './fan-out-write.ts';
import { type FanOutWriteOptions, PARTS } from './part.ts';

const NODES = 4;
const SCALE = 1024;
const STALL_SCALE = 128;
const ORIGIN_LINKS = 2;
/** What the nodes can keep up with on two cores; proxies of ours can carry less. */
const LINK_MBIT = 250;
const LINK_MBIT_USER = 100;
const ROUNDS = 5;
const KILLS = 20;
const FULL = { rounds: 10, stallRounds: 30, kills: 200 } as const;

/** One of a few names. Throws WrongUse. */
function nameOf<T extends string>(values: OptionValues, option: string, names: readonly T[]): T | undefined {
  const value = values[option];
  if (value === undefined) return undefined;
  const found = names.find((name) => name === value);
  if (found === undefined) throw new WrongUse(`--${option} ${String(value)}: expected one of ${names.join(', ')}`);
  return found;
}

/** Some of a few names, separated by commas; absent: all. Throws WrongUse. */
function namesOf<T extends string>(values: OptionValues, option: string, names: readonly T[]): readonly T[] {
  const value = values[option];
  if (typeof value !== 'string') return names;
  const asked = value.split(',').map((name) => nameOf({ [option]: name }, option, names));
  return names.filter((name) => asked.includes(name));
}

function optionsOf(values: OptionValues): FanOutWriteOptions {
  const shaping = nameOf(values, 'shaping', ['kernel', 'user'] as const);
  const lacks = kernelShapingLacks();
  if (shaping === 'kernel' && lacks !== undefined) throw new WrongUse(`--shaping kernel: ${lacks} is missing`);
  const isKernel = shaping === 'kernel' || (shaping === undefined && lacks === undefined);
  const scale = numberOf(values, 'scale', { min: 1, max: 1 << 20 });
  const directory = values['directory'] as string | undefined;
  const isFull = values['full'] === true;
  return {
    nodes: numberOf(values, 'nodes', { min: 2, max: 64 }) ?? NODES,
    linkMbit: numberOf(values, 'link', { min: 10, max: 10_000 }) ?? (isKernel ? LINK_MBIT : LINK_MBIT_USER),
    originLinks: numberOf(values, 'origin-links', { min: 0.1, max: 64, whole: false }) ?? ORIGIN_LINKS,
    shaping: isKernel ? 'kernel' : 'user',
    profile: nameOf(values, 'profile', PROFILE_NAMES) ?? '8b',
    scale: scale ?? SCALE,
    stallScale: scale ?? STALL_SCALE,
    uneven: values['uneven'] === true,
    rounds: numberOf(values, 'rounds', { min: 1, max: 100 }) ?? (isFull ? FULL.rounds : ROUNDS),
    stallRounds: numberOf(values, 'rounds', { min: 1, max: 100 }) ?? (isFull ? FULL.stallRounds : ROUNDS),
    kills: numberOf(values, 'kills', { min: 1, max: 10_000 }) ?? (isFull ? FULL.kills : KILLS),
    parts: namesOf(values, 'parts', PARTS),
    candidates: namesOf(values, 'candidates', CANDIDATE_NAMES),
    self: values['self'] === true,
    ...(directory !== undefined && { directory }),
  };
}

export const fanOutWriteScenario: Scenario = {
  name: 'fan-out-write',
  synopsis: 'fan-out-write [--profile 8b] [--scale N] [--nodes N] [--link MBIT] [--origin-links X] [--kills N]',
  help: `a checkpoint from N nodes behind shaped links: how long ranks wait, how long a dead node loses the step, when the
  origin has it, and what kills of nodes cost; against plain files, an async copy and direct writes, within 10 minutes
  --profile NAME       ${PROFILE_NAMES.join(', ')}: shapes of MLPerf Storage (default: 8b)
  --scale N            bytes are divided by N (default: ${SCALE}, where the stall is measured ${STALL_SCALE})
  --uneven             one node writes everything, in every part
  --nodes N            nodes (default: ${NODES})
  --link MBIT          each node's link, Mbit/s in each direction (default: ${LINK_MBIT}, without root ${LINK_MBIT_USER})
  --origin-links X     the origin's link ÷ a node's (default: ${ORIGIN_LINKS})
  --rounds N           rounds in which every candidate is measured (default: ${ROUNDS}; with --full ${FULL.rounds}, of the stall ${FULL.stallRounds})
  --kills N            nodes that are killed with their disks (default: ${KILLS}, with --full ${FULL.kills})
  --parts LIST         some of ${PARTS.join(',')} (default: all)
  --candidates LIST    some of ${CANDIDATE_NAMES.join(',')} (default: all)
  --shaping HOW        kernel (as root: network namespaces and tbf) or user (proxies); default: kernel as root
  --directory DIR      where caches and files lie meanwhile (default: the disk for the stall, tmpfs for the rest)`,
  options: {
    profile: { type: 'string' },
    scale: { type: 'string' },
    uneven: { type: 'boolean', default: false },
    nodes: { type: 'string' },
    link: { type: 'string' },
    'origin-links': { type: 'string' },
    rounds: { type: 'string' },
    kills: { type: 'string' },
    parts: { type: 'string' },
    candidates: { type: 'string' },
    shaping: { type: 'string' },
    directory: { type: 'string' },
  },
  run: (values, progress) => runFanOutWrite(optionsOf(values), progress),
};

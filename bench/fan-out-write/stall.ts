/** How long ranks are blocked, on this machine's disk, compared with plain files that are synced. */
import type { Progress } from '../progress.ts';
import { type Figure, figure, shown } from '../result.ts';
import { bootstrap, median, ratio } from '../statistics.ts';
import { CANDIDATES, type Candidate } from './candidates.ts';
import { checkpointFor, type FanOutWriteOptions, type Part, rigOptions } from './part.ts';
import { Rig } from './rig.ts';
import { blocked, pairsOf, type Round, runRounds, trialsOf } from './rounds.ts';

/** Links do not bound the stall. */
const LINK_MBIT = 1000;

/** Candidate → name of its figure, and what is promised of it. */
const RATIOS = [
  ['adopt', 'stallRatio', 1.05],
  ['local', 'stallRatioS3', 1.3],
] as const satisfies readonly (readonly [Candidate, string, number])[];

function ratios(rounds: readonly Round[], where: string): Record<string, Figure> {
  const figures: Record<string, Figure> = {};
  for (const [candidate, name, most] of RATIOS) {
    const pairs = pairsOf(rounds, { candidate, value: blocked }, { candidate: 'plain', value: blocked });
    if (pairs.length === 0) continue;
    const [ours, plain] = [median(pairs.map((pair) => pair.ours)), median(pairs.map((pair) => pair.baseline))];
    figures[name] = figure(ratio(pairs), '', {
      target: { atMost: most },
      beside: `${CANDIDATES[candidate]} ${shown(ours)} s, plain write + fsync ${shown(plain)} s, ${where}`,
    });
  }
  return figures;
}

export async function stallPart(options: FanOutWriteOptions, progress: Progress): Promise<Part> {
  const checkpoint = checkpointFor(options, { scale: options.stallScale });
  const candidates = (['plain', 'adopt', 'local'] as const).filter((one) => options.candidates.includes(one));
  progress.say(`stall: ${options.nodes} nodes on one disk are made`);
  // what drains faster is sooner out of the next candidate's way
  const linkMbit = Math.max(options.linkMbit, LINK_MBIT);
  const originLinks = Math.max(options.originLinks, options.nodes);
  await using rig = await Rig.open(rigOptions(options, { checkpoint, place: 'disk', linkMbit, originLinks }));
  const rounds = await runRounds(rig, { what: 'stall', count: options.stallRounds, candidates }, progress);
  const plain = trialsOf(rounds, 'plain').map(({ blockedS, sizeBytes }) => sizeBytes / 1e6 / blockedS);
  return {
    figures: {
      ...ratios(rounds, `${options.profile} ÷ ${options.stallScale}, ${options.nodes} nodes on one disk`),
      ...(plain.length > 0 && {
        plainMBs: figure(bootstrap(plain), 'MB/s', {
          beside: 'W: plain write + fsync on the disk, all nodes together',
        }),
      }),
    },
    trials: { stall: rounds },
  };
}

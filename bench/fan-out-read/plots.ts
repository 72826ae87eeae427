/** What `bench fan-out-read` draws. */
import { barsSvg, type Series, seriesSvg } from '../plot.ts';
import { bootstrap, median } from '../statistics.ts';
import { CANDIDATES, type Candidate } from './candidates.ts';
import { trialsOf } from './figures.ts';
import type { FanOutReadOptions, Round } from './part.ts';

const MB = 1e6;
const NAMES = Object.keys(CANDIDATES) as Candidate[];

/** Bytes of each node over time in the first round, a colour per candidate. */
export function progressPlot(rounds: readonly Round[], options: FanOutReadOptions): string {
  const series = NAMES.flatMap((candidate, colour) =>
    trialsOf(rounds.slice(0, 1), candidate).flatMap(({ nodes }) =>
      nodes.map(
        ({ samples }, index): Series => ({
          label: index === 0 ? CANDIDATES[candidate] : '',
          colour,
          points: samples.map(([s, bytes]) => [s, bytes / MB]),
        }),
      ),
    ),
  );
  return seriesSvg({
    title: `One object to ${options.nodes} nodes, a line per node`,
    x: 's',
    y: 'MB',
    series,
  });
}

/** Time until the last node has all, with the least that is possible. */
export function candidatesPlot(rounds: readonly Round[], options: FanOutReadOptions): string {
  const bars = NAMES.flatMap((candidate, colour) => {
    const seconds = trialsOf(rounds, candidate).map((trial) => trial.makespanS);
    if (seconds.length === 0) return [];
    const { median: value, low, high } = bootstrap(seconds);
    return [{ label: CANDIDATES[candidate], value, low, high, colour }];
  });
  return barsSvg({
    title: `Seconds until the last of ${options.nodes} nodes has the object`,
    unit: 's',
    bars: [
      ...bars,
      {
        label: 'floor of these links',
        value: median(rounds.map((round) => round.floorS)),
        colour: NAMES.indexOf('again'),
      },
    ],
  });
}

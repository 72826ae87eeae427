/** What `bench fan-out-write` draws. */
import { spansSvg, tableSvg } from '../plot.ts';
import { shown } from '../result.ts';
import { median } from '../statistics.ts';
import { CANDIDATE_NAMES, CANDIDATES } from './candidates.ts';
import { type KillTrial, lossRows } from './loss.ts';
import { type Round, trialsOf } from './rounds.ts';

const BLOCKED = 0;
const EXPOSED = 1;
const SAFE = 2;
const KINDS = ['ranks blocked', 'exposed', 'safe'] as const;

/** Medians of each candidate: how long ranks wait, how long one dead node loses the step, how long until the origin has it. */
export function timelinePlot(rounds: readonly Round[], title: string): string {
  const rows = CANDIDATE_NAMES.flatMap((candidate) => {
    const trials = trialsOf(rounds, candidate);
    if (trials.length === 0) return [];
    const blocked = median(trials.map(({ blockedS }) => blockedS));
    const safes = trials.flatMap(({ safeS }) => safeS ?? []);
    const durables = trials.flatMap(({ durableS }) => durableS ?? []);
    return [
      {
        label: CANDIDATES[candidate],
        blocked,
        safe: safes.length === 0 ? undefined : Math.max(median(safes), blocked),
        durable: durables.length === 0 ? undefined : Math.max(median(durables), blocked),
      },
    ];
  });
  const last = Math.max(...rows.map(({ blocked, durable }) => durable ?? blocked));
  return spansSvg({
    title,
    unit: 's',
    kinds: KINDS,
    rows: rows.map(({ label, blocked, safe, durable }) => ({
      label,
      spans: [
        { from: 0, to: blocked, kind: BLOCKED },
        { from: blocked, to: safe ?? last, kind: EXPOSED },
        { from: safe ?? last, to: durable ?? last, kind: SAFE },
      ].filter(({ from, to }) => to > from),
      note: durable === undefined ? 'never durable' : `durable ${shown(durable)} s`,
    })),
  });
}

export function lossPlot(trials: readonly KillTrial[]): string {
  return tableSvg({ title: 'Steps lost when a node and its disk are lost', rows: lossRows(trials, '!') });
}

/** What kills of a node cost: which steps the job had been told of, and what could be restored elsewhere. */

/** What had been told of the step when the node was killed. */
const MOMENTS = {
  writing: 'while it was written',
  exposed: 'written, not yet safe',
  safe: 'safe, not yet durable',
  durable: 'durable',
} as const;
export type Moment = keyof typeof MOMENTS;

const SYSTEMS = { forebay: 'Forebay', async: 'async copy' } as const;
export type System = keyof typeof SYSTEMS;

export interface KillTrial {
  readonly system: System;
  readonly victim: string;
  /** Seconds from the beginning of the step to the kill. */
  readonly killedAtS: number;
  readonly moment: Moment;
  readonly step: number;
  /** The newest step of which every byte was right when it was read on another node; absent: none. */
  readonly restored?: number;
  /** The step that was known to be safe before this one was begun. */
  readonly before: number;
  readonly restoreS: number;
  /** What was safe came to the origin afterwards; absent: nothing was. */
  readonly drained?: boolean;
}

/** The job went on believing in the step, and it is gone. */
export const isLost = ({ moment, step, restored = 0 }: KillTrial): boolean => moment !== 'writing' && restored < step;

/** Something is gone that had been reported safe: this step, or the one before it. */
export const isPromiseBroken = ({ moment, step, before, restored = 0 }: KillTrial): boolean =>
  restored < before || ((moment === 'safe' || moment === 'durable') && restored < step);

/** Rows of a table; cells of what was lost begin with `mark`. */
export function lossRows(trials: readonly KillTrial[], mark = ''): readonly (readonly string[])[] {
  const systems = (Object.keys(SYSTEMS) as System[]).filter((system) =>
    trials.some((trial) => trial.system === system),
  );
  const cell = (of: readonly KillTrial[]) => {
    const lost = of.filter((trial) => isLost(trial) || isPromiseBroken(trial)).length;
    if (of.length === 0) return '–';
    return `${lost > 0 ? mark : ''}${lost} of ${of.length}`;
  };
  const row = (name: string, isIn: (trial: KillTrial) => boolean) => [
    name,
    ...systems.map((system) => cell(trials.filter((trial) => trial.system === system && isIn(trial)))),
  ];
  return [
    ['node killed …', ...systems.map((system) => SYSTEMS[system])],
    ...(Object.keys(MOMENTS) as Moment[]).map((moment) => row(MOMENTS[moment], (trial) => trial.moment === moment)),
    row('all', () => true),
  ];
}

/** How near Forebay comes to what links and disks allow, as measured; each says where. */

export interface Efficiency {
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly source: string;
}

/** By the name of the bench's figure. */
export interface Efficiencies {
  /** Time that ranks wait ÷ a plain synced write. Below 1 it counts as 1: the job writes its own files, so nothing can be faster than that. */
  readonly stallRatio: Efficiency;
  /** First byte to safe ÷ max(R·s/W, (R−1)·s/B). */
  readonly safeFloorRatio: Efficiency;
  /** Safe to durable ÷ an async copy's time for the same bytes. */
  readonly durableRatio: Efficiency;
  /** What a node lacks, read from peers, ÷ s/B. */
  readonly restoreFloorRatio: Efficiency;
  /** Floor ÷ makespan of a broadcast. */
  readonly efficiency: Efficiency;
}

export type EfficiencyName = keyof Efficiencies;

const bench = (value: number, low: number, high: number, of: string): Efficiency => ({
  value,
  low,
  high,
  source: `forebay bench ${of}, November 2026`,
});

/** The README's figures. */
export const MEASURED: Efficiencies = {
  stallRatio: bench(0.71, 0.41, 1.76, 'fan-out-write (adopt, 4 nodes on one disk; inconclusive)'),
  safeFloorRatio: bench(1.51, 1.42, 1.67, 'fan-out-write (250 Mbit/s links; target 1.15 missed)'),
  durableRatio: bench(1.07, 1.03, 1.09, 'fan-out-write (250 Mbit/s links)'),
  restoreFloorRatio: bench(1.04, 1.02, 1.09, 'fan-out-write (250 Mbit/s links)'),
  efficiency: bench(0.955, 0.94, 0.964, 'fan-out-read (8 nodes, origin at 2 links)'),
};

export const EFFICIENCY_NAMES = Object.keys(MEASURED) as readonly EfficiencyName[];

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value) && value > 0;

/** The figures of a bench's result that a plan can use; throws RangeError where there is none. `file` names it. */
export function efficienciesOf(result: unknown, file: string): Partial<Record<EfficiencyName, Efficiency>> {
  const { figures, scenario, environment } = (result ?? {}) as Readonly<Record<string, unknown>>;
  const known = (figures ?? {}) as Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>;
  const { date = '', commit = '' } = (environment ?? {}) as Readonly<Record<string, string>>;
  const found: Partial<Record<EfficiencyName, Efficiency>> = {};
  for (const name of EFFICIENCY_NAMES) {
    const { median, low, high, verdict } = (Object.hasOwn(known, name) && known[name]) || {};
    if (!isNumber(median) || !isNumber(low) || !isNumber(high)) continue;
    const doubt = verdict === 'inconclusive' ? '; inconclusive' : '';
    const source = `${file} (${[scenario, date.slice(0, 10), commit].filter((part) => part !== '' && part !== undefined).join(', ')}${doubt})`;
    found[name] = { value: median, low, high, source };
  }
  if (Object.keys(found).length === 0)
    throw new RangeError(
      `${file} has none of the figures that a plan can use (${EFFICIENCY_NAMES.join(', ')}); give what \`forebay bench fan-out-write --json FILE\` or \`fan-out-read\` wrote`,
    );
  return found;
}

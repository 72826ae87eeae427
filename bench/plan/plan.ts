/**
 * A cluster's own seconds and GPU-hours by formula: local files with an async copy, and Forebay. Pure.
 *
 * Both sides get the same links, disks and origin. The async copy is a strong one: every node uploads in parallel at the full rate of its
 * link and of the origin, and nothing is lost to throttling. Forebay's terms are floors times what was measured of how near it comes.
 *
 * Lost work: at a random instant the newest checkpoint that survives the node's death is on average T/2 + d old, where T is the time between
 * checkpoints and d that from a checkpoint's begin until it survives the loss of a node.
 */
import type { Efficiencies, Efficiency } from './efficiency.ts';

export interface PlanInputs {
  readonly nodes: number;
  readonly gpusPerNode: number;
  /** A node's link, each way. */
  readonly linkBytesPerS: number;
  /** Of the origin, for all nodes together. */
  readonly ingressBytesPerS: number;
  readonly egressBytesPerS: number;
  /** Of all ranks together. */
  readonly checkpointBytes: number;
  /** The largest node's share of a checkpoint ÷ the mean. */
  readonly unevenness: number;
  readonly intervalS: number;
  readonly diskBytesPerS: number;
  /** Copies that an acknowledgement promises, the writer's counted. */
  readonly replicas: number;
  /** What a broadcast brings to every node. */
  readonly modelBytes: number;
  readonly nodeMtbfS: number;
  /** From a failure until the job could go on, without reading the checkpoint. */
  readonly restartS: number;
}

export interface Term {
  readonly value: number;
  /** With its numbers. */
  readonly formula: string;
}

export interface ForebayTerm extends Term {
  /** At the better and the worse end of what was measured. */
  readonly best: number;
  readonly worst: number;
}

export interface PlanRow {
  readonly name: string;
  readonly unit: 's' | 'GB' | 'GPU-hours';
  readonly what: string;
  readonly asyncCopy: Term;
  readonly forebay: ForebayTerm;
}

export interface Plan {
  readonly rows: readonly PlanRow[];
  readonly failuresPerMonth: Term;
  /** What the rows do not say by themselves. */
  readonly notes: readonly string[];
}

const MONTH_S = 30 * 86_400;
const HOUR_S = 3600;

/** Three digits that count. */
export function digits(value: number): string {
  if (value === 0) return '0';
  if (Math.abs(value) >= 1000) return String(Math.round(value)).replace(/(?<=\d)(?=(\d{3})+$)/g, ',');
  return String(Number(value.toPrecision(3)));
}

const gb = (bytes: number) => `${digits(bytes / 1e9)} GB`;
const rate = (bytesPerS: number) => `${digits(bytesPerS / 1e9)} GB/s`;
const seconds = (value: number) => `${digits(value)} s`;

/** The largest of some quotients `bytes ÷ rate`, as a formula. */
function slowest(parts: readonly (readonly [label: string, bytes: number, bytesPerS: number])[]): Term {
  const values = parts.map(([, bytes, bytesPerS]) => bytes / bytesPerS);
  const value = Math.max(...values);
  const text = parts.map(([label, bytes, bytesPerS]) => `${label} ${gb(bytes)} ÷ ${rate(bytesPerS)}`);
  const whole = parts.length === 1 ? (text[0] as string) : `max(${text.join(', ')})`;
  return { value, formula: `${whole} = ${seconds(value)}` };
}

const plus = (...terms: readonly (readonly [label: string, value: number])[]): Term => {
  const value = terms.reduce((sum, [, part]) => sum + part, 0);
  return {
    value,
    formula: `${terms.map(([label, part]) => `${label} ${digits(part)}`).join(' + ')} = ${seconds(value)}`,
  };
};

const times = (ratio: number, floor: Term): Term => {
  const value = ratio * floor.value;
  return { value, formula: `${digits(ratio)} × ${floor.formula.replace(/ = [^=]*$/, '')} = ${seconds(value)}` };
};

/** Everything of one side. */
interface Side {
  readonly stall: Term;
  readonly safe: Term;
  readonly exposed: Term;
  readonly durable: Term;
  readonly restore: Term;
  readonly broadcast: Term;
  readonly originBytes: Term;
  readonly perFailure: Term;
  readonly failuresMonth: Term;
  readonly stallsMonth: Term;
  readonly month: Term;
}

type Times = Pick<Side, 'stall' | 'safe' | 'durable' | 'restore' | 'broadcast' | 'originBytes'>;

const shareOf = ({ checkpointBytes, nodes, unevenness }: PlanInputs) => (unevenness * checkpointBytes) / nodes;

/** Checkpoints that an upload of this length lets through: one at a time, the next begins when the last is done. */
const everyS = (intervalS: number, busyS: number) => intervalS * Math.max(1, Math.ceil(busyS / intervalS));

const failuresPerMonth = ({ nodes, nodeMtbfS }: PlanInputs): Term => {
  const value = (MONTH_S * nodes) / nodeMtbfS;
  return { value, formula: `720 h × ${nodes} nodes ÷ ${digits(nodeMtbfS / HOUR_S)} h = ${digits(value)}` };
};

/** `busyS`: what must be over before the next checkpoint can become safe. */
function sideOf(inputs: PlanInputs, of: Times, busyS: number): Side {
  const gpus = inputs.nodes * inputs.gpusPerNode;
  const everyCheckpointS = everyS(inputs.intervalS, busyS);
  const lostS = everyCheckpointS / 2 + of.safe.value + of.restore.value + inputs.restartS;
  const perFailure = (gpus * lostS) / HOUR_S;
  const failures = failuresPerMonth(inputs).value;
  const steps = MONTH_S / inputs.intervalS;
  const stalls = (steps * of.stall.value * gpus) / HOUR_S;
  const exposed = Math.max(0, of.safe.value - of.stall.value);
  return {
    ...of,
    exposed: {
      value: exposed,
      formula: `safe ${digits(of.safe.value)} − stall ${digits(of.stall.value)} = ${seconds(exposed)}`,
    },
    perFailure: {
      value: perFailure,
      formula: `${gpus} GPUs × (T/2 ${digits(everyCheckpointS / 2)} + safe ${digits(of.safe.value)} + restore ${digits(of.restore.value)} + restart ${digits(inputs.restartS)}) ÷ 3,600 = ${digits(perFailure)}`,
    },
    failuresMonth: {
      value: failures * perFailure,
      formula: `${digits(failures)} failures × ${digits(perFailure)} = ${digits(failures * perFailure)}`,
    },
    stallsMonth: {
      value: stalls,
      formula: `${digits(steps)} checkpoints × stall ${digits(of.stall.value)} s × ${gpus} GPUs ÷ 3,600 = ${digits(stalls)}`,
    },
    month: {
      value: failures * perFailure + stalls,
      formula: `${digits(failures * perFailure)} + ${digits(stalls)} = ${digits(failures * perFailure + stalls)}`,
    },
  };
}

function asyncCopy(inputs: PlanInputs): { side: Side; copyS: number } {
  const { nodes, linkBytesPerS, ingressBytesPerS, egressBytesPerS, modelBytes, checkpointBytes } = inputs;
  const share = shareOf(inputs);
  const stall = slowest([['share', share, inputs.diskBytesPerS]]);
  const copy = slowest([
    ['share', share, linkBytesPerS],
    ['checkpoint', checkpointBytes, ingressBytesPerS],
  ]);
  const durable = plus(['stall', stall.value], [`copy (${copy.formula.replace(/ = [^=]*$/, '')})`, copy.value]);
  const side = sideOf(
    inputs,
    {
      stall,
      durable,
      safe: { value: durable.value, formula: `as durable: ${seconds(durable.value)}` },
      restore: slowest([['share', share, Math.min(linkBytesPerS, egressBytesPerS)]]),
      broadcast: slowest([
        ['model', modelBytes, linkBytesPerS],
        [`${nodes} models`, nodes * modelBytes, egressBytesPerS],
      ]),
      originBytes: {
        value: (nodes * modelBytes) / 1e9,
        formula: `${nodes} nodes × ${gb(modelBytes)} = ${gb(nodes * modelBytes)}`,
      },
    },
    copy.value,
  );
  return { side, copyS: copy.value };
}

function forebay(inputs: PlanInputs, of: Readonly<Record<keyof Efficiencies, number>>): { side: Side; drainS: number } {
  const { nodes, linkBytesPerS, ingressBytesPerS, egressBytesPerS, modelBytes, checkpointBytes, replicas } = inputs;
  const share = shareOf(inputs);
  const stall = times(Math.max(1, of.stallRatio), slowest([['share', share, inputs.diskBytesPerS]]));
  const safe = times(
    of.safeFloorRatio,
    slowest([
      [`${replicas} shares`, replicas * share, inputs.diskBytesPerS],
      [replicas === 2 ? 'share' : `${replicas - 1} shares`, (replicas - 1) * share, linkBytesPerS],
    ]),
  );
  // All holders upload: the busiest node's share counts no more than another's.
  const drain = times(
    of.durableRatio,
    slowest([
      ['mean share', checkpointBytes / nodes, linkBytesPerS],
      ['checkpoint', checkpointBytes, ingressBytesPerS],
    ]),
  );
  const spread = slowest([
    ['model', modelBytes, egressBytesPerS],
    ['model', modelBytes, linkBytesPerS],
    [`${nodes} models`, nodes * modelBytes, egressBytesPerS + nodes * linkBytesPerS],
  ]);
  const broadcastS = spread.value / of.efficiency;
  const settled = Math.max(safe.value, stall.value);
  const side = sideOf(
    inputs,
    {
      stall,
      safe:
        settled === safe.value ? safe : { value: settled, formula: `not before the stall ends: ${seconds(settled)}` },
      durable: plus(['safe', settled], [`drain (${drain.formula.replace(/ = [^=]*$/, '')})`, drain.value]),
      restore: times(of.restoreFloorRatio, slowest([['share', share, linkBytesPerS]])),
      broadcast: {
        value: broadcastS,
        formula: `${spread.formula.replace(/ = [^=]*$/, '')} ÷ ${digits(of.efficiency)} = ${seconds(broadcastS)}`,
      },
      originBytes: { value: modelBytes / 1e9, formula: `read once: ${gb(modelBytes)}` },
    },
    settled,
  );
  return { side, drainS: drain.value };
}

const ROWS: readonly (readonly [name: keyof Side, unit: PlanRow['unit'], what: string])[] = [
  ['stall', 's', 'ranks wait for a checkpoint'],
  ['safe', 's', 'from its begin until it survives the loss of any one node'],
  ['exposed', 's', 'a dead node loses the step though ranks went on'],
  ['durable', 's', 'from its begin until the origin has it'],
  ['restore', 's', 'a node that replaces a dead one has its share'],
  ['broadcast', 's', 'the model is on every node; without Forebay each reads the origin'],
  ['originBytes', 'GB', 'the origin sends for that'],
  ['perFailure', 'GPU-hours', 'lost per failure of a node'],
  ['failuresMonth', 'GPU-hours', 'lost to failures in a month'],
  ['stallsMonth', 'GPU-hours', 'lost to stalls in a month'],
  ['month', 'GPU-hours', 'lost in a month'],
];

const picked = (of: Efficiencies, pick: (efficiency: Efficiency) => number): Record<keyof Efficiencies, number> => ({
  stallRatio: pick(of.stallRatio),
  safeFloorRatio: pick(of.safeFloorRatio),
  durableRatio: pick(of.durableRatio),
  restoreFloorRatio: pick(of.restoreFloorRatio),
  efficiency: pick(of.efficiency),
});

function notesOf(inputs: PlanInputs, { stallRatio }: Efficiencies, copyS: number, drainS: number): string[] {
  const notes: string[] = [];
  const behind = (who: string, busyS: number, so: string) => {
    if (busyS > inputs.intervalS)
      notes.push(
        `${who} takes ${seconds(busyS)}, longer than the ${seconds(inputs.intervalS)} between checkpoints: ${so}`,
      );
  };
  const every = Math.ceil(copyS / inputs.intervalS);
  behind('The async copy', copyS, `one checkpoint in ${every} is counted as copied.`);
  behind(
    'The drain',
    drainS,
    'checkpoints are safe on nodes, but the origin falls behind until their space is used up.',
  );
  notes.push(
    `Forebay at \`ack = "local"\` with ${inputs.replicas} replicas: what is safe survives the loss of ${inputs.replicas - 1} of the nodes that hold it, and costs ${inputs.replicas} times the disk and ${inputs.replicas - 1} times the checkpoint on the nodes' links.`,
    ...(stallRatio.value < 1
      ? [
          `The measured stallRatio of ${digits(stallRatio.value)} counts as 1: a job that writes its own files cannot be faster than a plain write.`,
        ]
      : []),
    'Efficiencies were measured on links of 250 Mbit/s; that they hold on faster ones is an assumption.',
  );
  return notes;
}

export function planOf(inputs: PlanInputs, efficiencies: Efficiencies): Plan {
  const copied = asyncCopy(inputs);
  const middle = forebay(
    inputs,
    picked(efficiencies, ({ value }) => value),
  );
  const ratios = (pick: 'low' | 'high'): Record<keyof Efficiencies, number> => ({
    ...picked(efficiencies, (each) => each[pick]),
    // The one figure of which more is better.
    efficiency: efficiencies.efficiency[pick === 'low' ? 'high' : 'low'],
  });
  const edges = [forebay(inputs, ratios('low')), forebay(inputs, ratios('high'))];
  return {
    rows: ROWS.map(([name, unit, what]) => {
      // what is exposed is a difference: where ranks wait longer it is less
      const values = edges.map(({ side }) => side[name].value);
      const [best, worst] = [Math.min(...values), Math.max(...values)];
      return { name, unit, what, asyncCopy: copied.side[name], forebay: { ...middle.side[name], best, worst } };
    }),
    failuresPerMonth: failuresPerMonth(inputs),
    notes: notesOf(inputs, efficiencies, copied.copyS, middle.drainS),
  };
}

/**
 * What is lost when: one write at each level, its writer's node struck at each instant that matters, by each loss, and what
 * a reader on another node sees, while the node is away and once it is back. Written to docs/what-is-lost-when.md.
 */

import { isForebayError } from '../src/core/errors.ts';
import type { Level } from '../src/core/volume.ts';
import { Findings } from './checkers/checker.ts';
import { numberOf } from './checkers/s7-origin-watch.ts';
import { dirtyIn } from './record-watch.ts';
import { CALM_CLUSTER_WRITE } from './regressions/cluster-write.ts';
import type { ClusterMachine } from './scenarios/cluster-machine.ts';
import { ClusterWriteRun } from './scenarios/cluster-write.ts';
import type { WriteClient } from './scenarios/cluster-write-client.ts';
import type { ClusterWriteOptions } from './scenarios/cluster-write-options.ts';
import { SimClock } from './sim-clock.ts';
import { SimRandom } from './sim-random.ts';
import { startNode } from './start-node.ts';
import { Trace } from './trace.ts';
import { NUMBER_METADATA } from './write-history.ts';

const LEVELS: readonly Level[] = ['local', 'replicated', 'origin'];

const POINTS = {
  staging: 'half of the bytes have come',
  staged: 'all bytes have come',
  committed: 'the record was committed, the writer does not know it yet',
  acknowledged: 'the writer has its answer',
  replicated: 'its copies are made',
  finalised: 'the origin has it, nobody knows it yet',
  drained: 'the origin has it, and all know it',
} as const;
type Point = keyof typeof POINTS;

const LOSSES = {
  daemon: 'daemon killed',
  power: 'power cut, disk kept',
  disk: 'machine lost with its disk',
  disks: 'two machines lost with their disks, of three copies',
  coordinator: "the coordinator's data lost",
} as const;
type Loss = keyof typeof LOSSES;

/** Of those that cost more to play. */
const SEEDS_OF: Readonly<Partial<Record<Loss, readonly number[]>>> = { disks: [1], coordinator: [1] };

/** What a reader on another node is told. */
type Told = 'old' | 'new' | 'error';

interface Outcome {
  readonly isAcknowledged: boolean;
  readonly away: Told;
  readonly back: Told;
  /** What the origin has in the end. */
  readonly origin: 'old' | 'new';
}

interface Case {
  readonly level: Level;
  readonly point: Point;
  readonly loss: Loss;
}

const SEEDS = [1, 2, 3];
const TARGET = { volume: 'checkpoints', key: 'a/object' };
const SIZE_BYTES = 3 << 20;
/** Longer than a session, and than what it takes until repair begins. */
const AWAY_MS = 90_000;
const BACK_MS = 120_000;
/** Until somebody notices that every daemon refuses its coordinator. */
const NOTICED_MS = 5000;
const LIMIT_MS = 1_000_000;

/** Plays a case once. Throws when a promise of the checkers broke. */
async function playCase(played: Case, seed: number): Promise<Outcome> {
  const random = new SimRandom(seed);
  const trace = new Trace();
  const clock = new SimClock(random.fork('clock'), trace);
  const findings = new Findings(() => clock.nowMs);
  const options = {
    ...CALM_CLUSTER_WRITE,
    ...(played.loss === 'disks' && { nodes: 4, replicas: 3 }),
    operations: 0,
    sizeMaxMiB: 3,
    linkMiBPerS: 10,
  } as unknown as ClusterWriteOptions;
  const run = new ClusterWriteRun({ random, clock, trace, findings, sabotage: undefined, startNode }, options);
  try {
    const outcome = await clock.settle(new Play(run, played).run(), LIMIT_MS);
    const [finding] = findings.all;
    if (finding) throw new Error(`${JSON.stringify(played)} seed ${seed}: ${finding.promise} ${finding.message}`);
    return outcome;
  } finally {
    run.dispose();
  }
}

class Play {
  readonly #run: ClusterWriteRun;
  readonly #case: Case;
  readonly #writer: ClusterMachine;
  #isStruck = false;
  #isAcknowledged = false;
  #new = 0;
  #holders: readonly string[] = [];
  #hit: readonly ClusterMachine[] = [];

  constructor(run: ClusterWriteRun, played: Case) {
    this.#run = run;
    this.#case = played;
    this.#writer = run.machines[0] as ClusterMachine;
  }

  #client(machine: ClusterMachine): WriteClient {
    return this.#run.client(machine, `case ${this.#run.world.clock.nowMs}`);
  }

  async run(): Promise<Outcome> {
    const { clock } = this.#run.world;
    await Promise.all(this.#run.machines.map((machine) => machine.start()));
    await clock.sleep(2000);
    const old = await this.#client(this.#writer).put(TARGET, SIZE_BYTES, { level: 'origin' });
    if (old === undefined) throw new Error('the version before could not be written');
    await clock.sleep(5000);
    this.#watch(old);
    await this.#write();
    await clock.sleep(AWAY_MS);
    const away = await this.#read(old);
    if (this.#isStruck) await this.#mend();
    await clock.sleep(BACK_MS);
    const back = await this.#read(old);
    const shown = numberOf(this.#run.places[0]?.origin.current(TARGET.key));
    return { isAcknowledged: this.#isAcknowledged, away, back, origin: shown === old ? 'old' : 'new' };
  }

  async #mend(): Promise<void> {
    if (this.#case.loss === 'coordinator') {
      await this.#reader.node?.recover?.(TARGET.volume);
      return;
    }
    for (const machine of this.#hit) {
      machine.boot();
      await machine.start();
    }
  }

  get #reader(): ClusterMachine {
    return this.#run.machines.at(-1) as ClusterMachine;
  }

  /** The writer's machine, and another one that has a copy, where two are struck. */
  get #struck(): readonly ClusterMachine[] {
    if (this.#case.loss !== 'disks') return [this.#writer];
    const others = this.#run.machines.filter((each) => each !== this.#writer && each !== this.#reader);
    const holder = others.find(({ name }) => this.#holders.includes(name)) ?? (others[0] as ClusterMachine);
    return [this.#writer, holder];
  }

  async #read(old: number): Promise<Told> {
    try {
      const seen = await this.#client(this.#reader).read(TARGET);
      return seen?.number === old ? 'old' : 'new';
    } catch (error) {
      if (!isForebayError(error)) throw error;
      return 'error';
    }
  }

  /** The write, given up by its client when its node is struck. */
  async #write(): Promise<void> {
    const { clock } = this.#run.world;
    const { level } = this.#case;
    const client = this.#client(this.#writer);
    const half = Promise.withResolvers<void>();
    const asked = client.put(TARGET, SIZE_BYTES, {
      level,
      sent: (bytes) => {
        if (bytes >= SIZE_BYTES) this.#at('staged');
        else if (bytes >= SIZE_BYTES / 2) this.#at('staging');
      },
    });
    void asked.then((number) => {
      this.#isAcknowledged = number !== undefined;
      this.#at('acknowledged');
      half.resolve();
    });
    await Promise.race([half.promise, clock.sleep(30_000)]);
    // what comes by itself after the answer
    await clock.sleep(10_000);
  }

  #watch(old: number): void {
    const { records, places } = this.#run;
    const { onStep } = records;
    records.onStep = (step) => {
      onStep?.(step);
      for (const dirty of step.now ? dirtyIn(step.now) : []) {
        if (Number(dirty.metadata[NUMBER_METADATA]) === old) continue;
        this.#new = Number(dirty.metadata[NUMBER_METADATA]);
        this.#at('committed');
        this.#holders = dirty.replicas;
        if (dirty.replicas.length >= this.#run.options.replicas) this.#at('replicated');
      }
      if (step.now?.current?.kind === 'stub' && Number(step.now.current.metadata[NUMBER_METADATA]) !== old)
        this.#at('drained');
    };
    const origin = places[0]?.origin;
    if (!origin) return;
    const { onChange } = origin;
    origin.onChange = (change) => {
      onChange?.(change);
      const number = numberOf(change.now);
      if (number !== undefined && number === this.#new) this.#at('finalised');
    };
  }

  /** An instant has come: if it is the one of the case, the node is struck. */
  #at(point: Point): void {
    if (point !== this.#case.point || this.#isStruck) return;
    this.#isStruck = true;
    const { loss } = this.#case;
    if (loss === 'coordinator') {
      void this.#loseCoordinator();
      return;
    }
    this.#hit = this.#struck;
    for (const machine of this.#hit) {
      machine.crash(loss === 'daemon' ? 'process' : 'machine');
      if (loss !== 'disk' && loss !== 'disks') continue;
      machine.replaceDisk();
      this.#run.lostDisk(machine);
    }
  }

  /** Its data goes, and somebody starts every daemon anew with the empty one. */
  async #loseCoordinator(): Promise<void> {
    const { coordinator, machines, world } = this.#run;
    coordinator.loseData();
    await world.clock.sleep(NOTICED_MS);
    for (const machine of machines) machine.crash('process');
    await Promise.all(machines.map((machine) => machine.start()));
  }
}

const TEXT_OF: Readonly<Record<Told, string>> = { old: 'the old', new: 'the new', error: 'an error' };

function cellOf(outcomes: readonly Outcome[]): string {
  const texts = outcomes.map(({ away, back }) =>
    away === back ? TEXT_OF[away] : `${TEXT_OF[away]}, then ${TEXT_OF[back]}`,
  );
  return [...new Set(texts)].sort().join(' or ');
}

/** The page, made by playing every case with each of these seeds. One finds what several do, but for what is a matter of luck. */
export async function lostWhenPage(seeds: readonly number[] = SEEDS): Promise<string> {
  const lines: string[] = [];
  for (const level of LEVELS) {
    lines.push(`## Written at \`${level}\``, '', `| struck when | answered | ${Object.values(LOSSES).join(' | ')} |`);
    lines.push(
      `| --- | --- | ${Object.keys(LOSSES)
        .map(() => '---')
        .join(' | ')} |`,
    );
    for (const point of Object.keys(POINTS) as Point[]) {
      const cells: string[] = [];
      const answered = new Set<boolean>();
      for (const loss of Object.keys(LOSSES) as Loss[]) {
        const outcomes: Outcome[] = [];
        for (const seed of SEEDS_OF[loss] ?? seeds) outcomes.push(await playCase({ level, point, loss }, seed));
        for (const { isAcknowledged } of outcomes) answered.add(isAcknowledged);
        cells.push(cellOf(outcomes));
      }
      const answer = answered.size > 1 ? 'perhaps' : answered.has(true) ? 'yes' : 'no';
      lines.push(`| ${POINTS[point]} | ${answer} | ${cells.join(' | ')} |`);
    }
    lines.push('');
  }
  return `${HEAD}\n${lines.join('\n').trimEnd()}\n`;
}

const HEAD = `# What is lost when

Generated by \`npm run lost-when\` from the simulator (\`sim/lost-when.ts\`): a key is overwritten through one node of three, in a
volume with two replicas; the node of the writer is struck at one instant, by one loss. A cell says what a reader on another
node is told: while the node is away (90 s), then once it is back. One text: both times the same. Where two machines go there are four,
and three replicas. Where the coordinator's data is lost, every daemon is killed 5 s later and started anew with an empty one, and after 90 s
\`forebay recover\` rebuilds the records: until then the origin's version is what readers are told. "The old" and "the new"
are whole versions; a mixture, a part, or nothing at all was never seen. The origin has no faults here.
An error: \`forebay status\` and \`forebay conflicts\` name the key; the record stays, and the version before is not served in its place.
`;

/** What clients of the scenario of fan-out writes do: single operations, and the sequences of checkpoint writers. */
import { partMinBytes } from '../../src/core/limits.ts';
import type { Level } from '../../src/core/volume.ts';
import type { Target } from '../../src/write/writer.ts';
import type { SimRandom } from '../sim-random.ts';
import type { WriteHistory } from '../write-history.ts';
import type { WriteClient } from './cluster-write-client.ts';
import { type ClusterWriteOptions, drawWriteSize, SHARED_DIRECTORY } from './cluster-write-options.ts';
import { keyOf } from './read-cache-options.ts';

export interface WorkPlace {
  /** Of this client alone. */
  readonly job: string;
  readonly random: SimRandom;
  readonly options: ClusterWriteOptions;
  readonly history: WriteHistory;
  readonly volumes: readonly string[];
  readonly client: WriteClient;
  /** Clients on other nodes that serve now. */
  readonly others: () => readonly WriteClient[];
}

const LEVELS: readonly Level[] = ['local', 'replicated', 'origin'];
/** How often a checkpoint writer tries a step of its sequence. */
const TRIES = 3;
const TEMPORARY = '.tmp';
const CHECKPOINTS = 'checkpoints/';

export class WriteWork {
  readonly #place: WorkPlace;
  #steps = 0;
  #temporaries = 0;

  constructor(place: WorkPlace) {
    this.#place = place;
  }

  get #level(): Level | undefined {
    const { random, options } = this.#place;
    return random.chance(options.levelChance) ? random.pick(LEVELS) : undefined;
  }

  #size(): number {
    return drawWriteSize(this.#place.random, this.#place.options);
  }

  /** A key of the scenario, or one that was written in a sequence. */
  #target(): Target {
    const { random, options, history, volumes } = this.#place;
    const written = history.keys();
    if (written.length > 0 && random.chance(0.3)) {
      // what a sequence or a copy reads back under a name of its own stays as it was written
      const { volume, key } = random.pick(written);
      if (!key.includes(TEMPORARY) && !key.startsWith(CHECKPOINTS)) return { volume, key };
    }
    const volume = random.pick(volumes);
    const isShared = Number.isFinite(options.changeMs) && random.chance(0.25);
    const key = isShared ? `${SHARED_DIRECTORY}object ${random.integer(2)}` : keyOf(random.integer(options.objects));
    return { volume, key };
  }

  async operation(): Promise<void> {
    const { random, options, client, history } = this.#place;
    const { checkpointShare } = options;
    if (random.chance(options.sequenceChance))
      return checkpointShare > 0 && !random.chance(1 - checkpointShare) ? this.#checkpoint() : this.#sequence();
    const target = this.#target();
    if (random.chance(options.readChance)) {
      const written = history.keys();
      await client.tryRead(
        checkpointShare > 0 && written.length > 0 && random.chance(0.3) ? random.pick(written) : target,
      );
      return;
    }
    const draw = random.integer(100);
    const level = this.#level;
    if (draw < 45) await client.put(target, this.#size(), { level });
    else if (draw < 55) await client.delete(target, { level });
    else if (draw < 67) await this.#conditional(target);
    else if (draw < 79) await this.#copy(target, level);
    else if (draw < 88) await this.#multipart(target, level);
    else if (draw < 94) await client.list(target.volume, random.pick(['', 'a/', 'a/b/']));
    else await client.evict(target);
  }

  async #conditional(target: Target): Promise<void> {
    const { random, client } = this.#place;
    if (random.chance(0.4)) {
      await client.put(target, this.#size(), { expects: 'absent', level: this.#level });
      return;
    }
    const seen = await client.tryRead(target);
    if (!seen || seen.stale || seen.isForeign) return;
    if (random.chance(0.3)) await client.delete(target, { expects: seen });
    else await client.put(target, this.#size(), { expects: seen, level: this.#level });
  }

  /** Writes a private source and copies or renames it over the key, as tools do that write beside first. */
  async #copy({ volume, key }: Target, level: Level | undefined): Promise<void> {
    const { random, client } = this.#place;
    const source = { volume, key: `${key}${TEMPORARY} ${random.word().toString(16)}` };
    const number = await client.put(source, this.#size(), { level });
    if (number === undefined) return;
    await this.#move(source, { volume, key }, number, level);
  }

  /** A copy, a copy and a delete as tools do by the S3 door, or a rename. */
  async #move(source: Target, target: Target, number: number, level: Level | undefined): Promise<boolean> {
    const { random, client } = this.#place;
    if (random.chance(0.5)) return await client.rename(source, target, number, level);
    return await client.copy(source, target, number, { level, isRename: random.chance(0.7) });
  }

  async #multipart(target: Target, level: Level | undefined): Promise<void> {
    const { random, options, client } = this.#place;
    const isLarge = options.sizeMaxMiB > 2 && options.capacityMiB > 40 && random.chance(0.3);
    const sizes = isLarge ? [partMinBytes, random.pick([1, partMinBytes, 70_000])] : [Math.max(1, this.#size())];
    await client.multipart(target, sizes, { level, gaveUp: random.chance(0.2) });
  }

  /** Two objects as one, under a name of this client's own, some over an earlier one. */
  async #checkpoint(): Promise<void> {
    const { random, client, volumes, job } = this.#place;
    const volume = random.pick(volumes);
    if (random.chance(0.1)) await client.rollback(volume);
    if (random.chance(0.3)) return client.latest(volume);
    const name = `${CHECKPOINTS}${job} ${random.chance(0.4) ? 0 : ++this.#steps}`;
    const puts = ['shard 0', 'shard 1'].map((shard) => {
      return { key: `${name}/${shard}`, sizeBytes: this.#size(), by: this.#anyone() };
    });
    await this.#unlessGone(
      puts.map(({ by }) => by),
      client.checkpoint(volume, name, puts, random.chance(0.15)),
    );
    await client.latest(volume);
  }

  /** On this node or another. */
  #anyone(): WriteClient {
    const { random, client, others } = this.#place;
    return random.pick([client, ...others()]);
  }

  /** What a node that was killed was asked for is never answered. */
  async #unlessGone<T>(clients: readonly WriteClient[], work: Promise<T>): Promise<T | undefined> {
    const { clock } = this.#place.client.place;
    let isOver = false;
    const gone = async (): Promise<undefined> => {
      while (clients.every(({ place }) => place.life.alive) && !isOver) await clock.sleep(500);
      return undefined;
    };
    const result = await Promise.race([work, gone()]);
    isOver = true;
    return result;
  }

  async #tried(work: (client: WriteClient) => Promise<number | undefined>): Promise<number | undefined> {
    for (let tries = 0; tries < TRIES; tries++) {
      const client = this.#anyone();
      const number = await this.#unlessGone([client], work(client));
      if (number !== undefined) return number;
    }
    return undefined;
  }

  /**
   * Shards by several nodes, then `.metadata.tmp`, the old `.metadata` deleted, the new one renamed to it, as torch's
   * distributed checkpoints do; at last `latest`, as DeepSpeed does. Whoever fails gives up, and nothing after it is written.
   */
  async #sequence(): Promise<void> {
    const { random, client, volumes } = this.#place;
    const volume = random.pick(volumes);
    const { job } = this.#place;
    // some jobs write each step over the one before
    const step = random.chance(0.4) ? 0 : ++this.#steps;
    const target = (name: string): Target => ({ volume, key: `${job}/step ${step}/${name}` });
    const level = this.#level;
    const shards = Array.from({ length: random.between(1, 3) }, (_, index) => target(`__${index}_0.distcp`));
    const written = await Promise.all(
      shards.map((shard) => this.#tried((each) => each.put(shard, this.#size(), { level }))),
    );
    if (written.includes(undefined)) return;
    const metadata = target('.metadata');
    const temporary = target(`.metadata${TEMPORARY} ${client.place.life.name} ${++this.#temporaries}`);
    const writer = this.#anyone();
    const number = await this.#unlessGone([writer], writer.put(temporary, 1000, { level }));
    if (number === undefined) return;
    if (step === 0 && !(await client.delete(metadata, { level }))) return;
    if (!(await this.#move(temporary, metadata, number, level))) return;
    await client.put({ volume, key: `${job}/latest` }, 20, { level });
  }
}

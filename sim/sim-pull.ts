/**
 * One pull on the simulated network: the holder's blocks as it has them, each sent at the pace that the links allow,
 * checked on arrival, written into the puller's file and reported, in order. Up to `WINDOW_BLOCKS` are between the two.
 */
import { crc32 } from 'node:zlib';
import { blockRange } from '../src/core/chunk.ts';
import { abortReason, ForebayError } from '../src/core/errors.ts';
import { rangeLength } from '../src/core/range.ts';
import type { BlockRun, Pull } from '../src/io/peers.ts';
import { carriedError, knock } from './sim-connection.ts';
import type { Flow } from './sim-links.ts';
import type { Exchange, Listener, SimHost, SimNetwork } from './sim-network.ts';

/** Blocks that wait at the receiver, besides the one on its way: what sockets buffer. */
const WINDOW_BLOCKS = 2;
/** A holder gives up a puller that takes nothing for this long. */
const SEND_IDLE_MS = 30_000;

interface Arrived {
  readonly block: number;
  readonly checksum: number;
  readonly bytes: Uint8Array;
}

/** The asker is gone, or the holder. */
class Broken extends Error {
  override name = 'Broken';
}

export class SimPull implements Exchange {
  readonly done: Promise<void>;
  readonly #network: SimNetwork;
  readonly #asker: Listener;
  readonly #pull: Pull;
  readonly #settled = Promise.withResolvers<void>();
  readonly #stop = new AbortController();
  readonly #queue: Arrived[] = [];
  /** What ends the stream once the queue is empty: all blocks sent, or the holder's error. */
  #end: 'whole' | Error | undefined;
  #holder: Listener | undefined;
  #flow: Flow | undefined;
  #idle: { run: (() => void) | undefined } | undefined;
  /** When something last came. */
  #signMs: number;
  #room: (() => void) | undefined;
  #isWorking = false;
  #isSettled = false;
  /** Why it fails, once the write under way is over. */
  #failure: Error | undefined;
  readonly #aborted = () => this.#fail(abortReason(this.#pull.signal));

  constructor(network: SimNetwork, asker: Listener, pull: Pull) {
    this.#network = network;
    this.#asker = asker;
    this.#pull = pull;
    this.done = this.#settled.promise;
    this.#signMs = network.clock.nowMs;
    const { from, content, first, count } = pull;
    network.trace.note(`net pull ${asker.options.node} ${from.node} ${content}`, first, count);
    network.begin(this);
    pull.signal.addEventListener('abort', this.#aborted, { once: true });
    this.#watch();
    const host = network.host(from.address.host);
    if (host) this.#ask(host);
    else network.clock.schedule(1, () => this.#fail(this.#unreachable('there is no such host')), asker.life);
  }

  has(end: Listener): boolean {
    return end === this.#asker || end === this.#holder;
  }

  broken(end: Listener, told: boolean): void {
    const { clock, faults } = this.#network;
    if (end === this.#asker) {
      this.#dropFlow();
      if (end.life.alive) this.#fail(new ForebayError('shuttingDown', 'this node is stopping'));
      if (end.life.alive) return;
      this.#network.end(this);
      this.#isSettled = true;
      const hangUp = () => this.#stop.abort(new Broken('the puller is gone'));
      clock.schedule(told ? faults.latencyMs : SEND_IDLE_MS, hangUp, this.#holder?.life);
      return;
    }
    this.#dropFlow();
    if (end.life.alive) this.#stop.abort(new Broken('the transport was closed'));
    this.#holder = undefined;
    if (told) this.#tell(end.host, () => this.#ended(this.#unreachable('the connection was reset')));
  }

  #ask(host: SimHost): void {
    const asker = this.#asker;
    const to = this.#pull.from;
    const arrive = () =>
      knock(
        this.#network,
        { asker, to, host },
        {
          taken: (listener) => this.#serve(listener),
          refused: (error) => this.#tell(host, () => this.#ended(error)),
        },
      );
    const lost = () => this.#ended(this.#unreachable('the connection was reset'));
    this.#network.carry({ from: asker.host, to: host }, { arrive, lost });
  }

  // the holder's end

  #serve(listener: Listener): void {
    if (this.#isSettled) return;
    this.#holder = listener;
    this.#send(listener).then(
      () => this.#finish(listener, 'whole'),
      (error: unknown) => {
        if (error instanceof Broken || !listener.life.alive) return;
        this.#finish(listener, carriedError(listener.options.node, error));
      },
    );
  }

  #finish(listener: Listener, end: 'whole' | Error): void {
    if (this.#holder !== listener) return;
    this.#tell(listener.host, () => this.#ended(end));
  }

  async #send(listener: Listener): Promise<void> {
    const { content, sizeBytes, first, count } = this.#pull;
    const { signal } = this.#stop;
    let next = first;
    const request = { content, sizeBytes, first, count };
    for await (const run of listener.options.service.blocks(this.#asker.options.node, request, signal)) {
      let damaged = false;
      try {
        if (run.first !== next || next + run.checksums.length > first + count)
          throw new ForebayError('internal', 'the service gave blocks that were not asked for');
        for (const checksum of run.checksums) {
          const bytes = await this.#bytesOf(run, next).catch((error: unknown) => {
            damaged = true;
            throw error;
          });
          this.#stopIfBroken();
          await this.#transfer(listener, { block: next, checksum, bytes: this.#spoilt(listener.host, bytes) });
          next += 1;
        }
      } finally {
        run.release(damaged);
      }
    }
    if (next < first + count) throw new ForebayError('internal', 'the service gave fewer blocks than were asked for');
  }

  async #bytesOf(run: BlockRun, block: number): Promise<Uint8Array> {
    const range = blockRange(block, this.#pull.sizeBytes);
    const start = (block - run.first) * blockRange(0, Number.POSITIVE_INFINITY).end;
    const { source } = run;
    // a copy, also of a Buffer, whose own slice is none: the holder may reuse its memory
    if (source.kind === 'bytes') return new Uint8Array(source.bytes.subarray(start, start + rangeLength(range)));
    const bytes = await source.file.read(range.start, rangeLength(range));
    if (bytes.length < rangeLength(range)) throw new ForebayError('internal', 'the file is shorter than the content');
    return bytes;
  }

  /** What a host with bad memory makes of it. */
  #spoilt(host: SimHost, bytes: Uint8Array): Uint8Array {
    const { random, trace } = this.#network;
    if (bytes.length === 0 || !random.chance(host.corruptChance)) return bytes;
    const wrong = new Uint8Array(bytes);
    const at = random.integer(wrong.length);
    wrong[at] = (wrong[at] as number) ^ (1 << random.integer(8));
    trace.note(`net corrupt ${host.name}`, at);
    return wrong;
  }

  /** Resolves, in the holder's process, when the block has left and there is room for the next. */
  #transfer(listener: Listener, arrived: Arrived): Promise<void> {
    const { links, clock } = this.#network;
    return new Promise((resolve, reject) => {
      const { signal } = this.#stop;
      const broken = () => reject(this.#stop.signal.reason as Error);
      signal.addEventListener('abort', broken, { once: true });
      const go = () =>
        clock.schedule(
          0,
          () => {
            signal.removeEventListener('abort', broken);
            resolve();
          },
          listener.life,
        );
      const came = () => {
        this.#flow = undefined;
        this.#network.bytesSent += arrived.bytes.length;
        this.#arrived(arrived);
        if (this.#queue.length < WINDOW_BLOCKS) go();
        else this.#room = go;
      };
      this.#flow = links.start({ from: listener.host, to: this.#asker.host }, arrived.bytes.length, came);
    });
  }

  #stopIfBroken(): void {
    if (this.#stop.signal.aborted) throw this.#stop.signal.reason;
  }

  #dropFlow(): void {
    if (this.#flow) this.#network.links.stop(this.#flow);
    this.#flow = undefined;
  }

  /** Carries a word of the holder to the puller. */
  #tell(from: SimHost, arrive: () => void): void {
    const lost = () => this.#ended(this.#unreachable('the connection was reset'));
    this.#network.carry({ from, to: this.#asker.host }, { arrive, lost });
  }

  // the puller's end

  #atHome(then: () => void): void {
    this.#network.clock.schedule(0, then, this.#asker.life);
  }

  /** In the order of arrival, also where the puller is paused: sockets keep it. */
  #arrived(arrived: Arrived): void {
    if (this.#isSettled) return;
    this.#signMs = this.#network.clock.nowMs;
    this.#queue.push(arrived);
    this.#atHome(() => void this.#work());
  }

  #ended(end: 'whole' | Error): void {
    if (this.#isSettled) return;
    this.#end ??= end;
    this.#atHome(() => void this.#work());
  }

  /** Checks, writes and reports what has come, one block at a time. */
  async #work(): Promise<void> {
    if (this.#isWorking) return;
    this.#isWorking = true;
    try {
      for (let next = this.#queue.shift(); next && !this.#failure; next = this.#queue.shift()) {
        await this.#take(next);
        this.#signMs = this.#network.clock.nowMs;
        this.#room?.();
        this.#room = undefined;
      }
    } catch (error) {
      this.#failure ??= error instanceof Error ? error : new Error(String(error));
    }
    this.#isWorking = false;
    if (this.#failure) this.#settle(this.#failure);
    else if (this.#end !== undefined) this.#settle(this.#end === 'whole' ? undefined : this.#end);
    else this.#watch();
  }

  async #take({ block, checksum, bytes }: Arrived): Promise<void> {
    const { into, sizeBytes, from, content } = this.#pull;
    if (crc32(bytes) !== checksum && !this.#network.trustsBytes) {
      throw new ForebayError('peerCorrupt', `${from.node} sent wrong bytes for block ${block} of ${content}`);
    }
    if (into) await into.write(blockRange(block, sizeBytes).start, bytes);
    if (this.#failure) return;
    await this.#pull.onBlock(block, checksum, into ? undefined : bytes);
  }

  /** Fails the pull when no byte comes for too long. */
  #watch(): void {
    const { clock, links } = this.#network;
    if (this.#idle) this.#idle.run = undefined;
    const { idleMs } = this.#pull;
    const check = (): void => {
      if (this.#isSettled || this.#isWorking) return;
      const lastMs = Math.max(this.#signMs, this.#flow ? links.lastByteMs(this.#flow) : 0);
      const leftMs = lastMs + idleMs - clock.nowMs;
      if (leftMs > 0) this.#idle = clock.schedule(leftMs, check, this.#asker.life);
      else this.#fail(new ForebayError('peerTimeout', `${this.#pull.from.node}: no byte for ${idleMs} ms`));
    };
    this.#idle = clock.schedule(idleMs, check, this.#asker.life);
  }

  #unreachable(why: string): ForebayError {
    return new ForebayError('peerUnreachable', `${this.#pull.from.node}: ${why}`);
  }

  /** Fails; a write under way is waited for, so that nothing is written afterwards. */
  #fail(error: Error): void {
    if (this.#isSettled) return;
    this.#failure ??= error;
    if (!this.#isWorking) this.#settle(this.#failure);
  }

  #settle(error: Error | undefined): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    if (this.#idle) this.#idle.run = undefined;
    this.#pull.signal.removeEventListener('abort', this.#aborted);
    this.#network.end(this);
    this.#dropFlow();
    const { clock, faults } = this.#network;
    clock.schedule(faults.latencyMs, () => this.#stop.abort(new Broken('the puller is gone')), this.#holder?.life);
    this.#network.trace.note(`net pulled ${this.#asker.options.node} ${this.#pull.from.node}`, error ? 1 : 0);
    if (error) this.#settled.reject(error);
    else this.#settled.resolve();
  }
}

/**
 * A warm on several nodes: each brings the selected objects to itself, together with the others (`broadcasts.ts`), and
 * tells the node that was asked how far it is. A node that nobody asks any more stops.
 */
import { countOf, type Fields, fieldsOf, listOf, malformed, textOf } from '../cluster/chunk-wire.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import { remoteWarmsMax, warmProgressMs, warmSilenceMs } from '../core/limits.ts';
import type { Json, PeerMessage } from '../io/peers.ts';
import type { NodeProgress, Selection, WarmProgress } from './reader.ts';

export type WarmHere = (
  selection: Selection,
  options: { to?: string; signal: AbortSignal },
) => AsyncIterable<WarmProgress>;

const NOTHING: WarmProgress = { objects: 0, objectsDone: 0, bytes: 0, bytesDone: 0, failed: [] };
/** Failed keys that one answer names; all are counted. */
const FAILED_MAX = 100;

/** A warm that runs here for another node. */
interface Remote {
  progress: WarmProgress;
  isOver: boolean;
  error: ForebayError | undefined;
  askedMs: number;
  readonly stop: AbortController;
}

interface State {
  progress: WarmProgress;
  isOver: boolean;
}

export class WarmNodes {
  readonly #cluster: Cluster;
  readonly #here: WarmHere;
  readonly #remotes = new Map<string, Remote>();
  #begun = 0;

  constructor(cluster: Cluster, here: WarmHere) {
    this.#cluster = cluster;
    this.#here = here;
    cluster.handle('warm.begin', (from, message) => this.#begin(from, message));
    cluster.handle('warm.progress', (_from, message) => this.#answer(message));
    cluster.handle('warm.end', (_from, message) => {
      this.#remotes.get(textOf(message['id']))?.stop.abort(givenUp());
      return null;
    });
  }

  /** Names of nodes, or all members. Throws invalidArgument for a node that is not one. */
  nodes(wanted: 'all' | readonly string[]): readonly string[] {
    if (wanted === 'all') return this.#cluster.members.members.map(({ node }) => node);
    const unknown = wanted.find((node) => this.#cluster.member(node) === undefined);
    if (unknown !== undefined)
      throw new ForebayError(
        'invalidArgument',
        `there is no node ${JSON.stringify(unknown)}; members are ${this.nodes('all').join(', ')}`,
      );
    return [...new Set(wanted)];
  }

  async *warm(
    selection: Selection,
    options: { nodes: 'all' | readonly string[]; to?: string; signal: AbortSignal },
  ): AsyncGenerator<WarmProgress> {
    const stop = new AbortController();
    const signal = AbortSignal.any([options.signal, stop.signal]);
    const states = new Map<string, State>();
    for (const node of this.nodes(options.nodes)) states.set(node, { progress: NOTHING, isOver: false });
    const how = { signal, ...(options.to !== undefined && { to: options.to }) };
    const work = Promise.all(
      Array.from(states, ([node, state]) =>
        node === this.#cluster.self
          ? this.#runHere(state, selection, how)
          : this.#runThere(node, state, selection, how),
      ),
    );
    let isOver = false;
    const ended = work.finally(() => {
      isOver = true;
    });
    ended.catch(() => undefined);
    try {
      while (!isOver) {
        await Promise.race([ended, this.#cluster.clock.sleep(warmProgressMs)]);
        if (!isOver) yield total(states);
      }
      await ended;
      yield total(states);
    } finally {
      stop.abort(givenUp());
    }
  }

  async #runHere(state: State, selection: Selection, options: { to?: string; signal: AbortSignal }): Promise<void> {
    for await (const progress of this.#here(selection, options)) state.progress = progress;
    state.isOver = true;
  }

  async #runThere(
    node: string,
    state: State,
    selection: Selection,
    { to, signal }: { to?: string; signal: AbortSignal },
  ): Promise<void> {
    const { clock } = this.#cluster;
    let silentSinceMs: number | undefined;
    let id: string | undefined;
    const onAbort = () => {
      // Lost, it stops by itself a while later.
      if (id !== undefined) this.#cluster.call(node, { type: 'warm.end', id }).catch(() => undefined);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    for (;;) {
      signal.throwIfAborted();
      try {
        id ??= textOf(
          await this.#cluster.call(node, {
            type: 'warm.begin',
            selection: { ...selection },
            ...(to !== undefined && { to }),
          }),
        );
        const answer = fieldsOf(await this.#cluster.call(node, { type: 'warm.progress', id }));
        silentSinceMs = undefined;
        state.progress = progressFromWire(answer);
        if (answer['isOver'] === true) {
          state.isOver = true;
          signal.removeEventListener('abort', onAbort);
          return;
        }
      } catch (error) {
        if (!isForebayError(error)) throw error;
        const nowMs = clock.boottimeMs();
        silentSinceMs ??= nowMs;
        const isGone = this.#cluster.member(node) === undefined || nowMs - silentSinceMs >= warmSilenceMs;
        if (isGone || !isForebayError(error, 'peerUnreachable', 'peerTimeout')) {
          const failed = [...state.progress.failed, { key: '', message: `node ${node}: ${error.message}` }];
          state.progress = { ...state.progress, failed };
          state.isOver = true;
          return;
        }
      }
      await clock.sleep(warmProgressMs, signal);
    }
  }

  // ---- for another node --------------------------------------------------------------------------------------------

  #begin(from: string, message: PeerMessage): Json {
    if (this.#remotes.size >= remoteWarmsMax)
      throw new ForebayError('overloaded', `${remoteWarmsMax} warms for other nodes are under way`);
    const selection = selectionFromWire(fieldsOf(message['selection']));
    const { to } = message;
    this.#begun += 1;
    const id = `${from}/${this.#begun}`;
    const remote: Remote = {
      progress: NOTHING,
      isOver: false,
      error: undefined,
      askedMs: this.#cluster.clock.boottimeMs(),
      stop: new AbortController(),
    };
    this.#remotes.set(id, remote);
    void this.#run(remote, selection, to === undefined ? undefined : textOf(to));
    void this.#watch(id, remote);
    return id;
  }

  async #run(remote: Remote, selection: Selection, to: string | undefined): Promise<void> {
    try {
      const options = { signal: remote.stop.signal, ...(to !== undefined && { to }) };
      for await (const progress of this.#here(selection, options)) remote.progress = progress;
    } catch (error) {
      if (!isForebayError(error) && !remote.stop.signal.aborted) throw error;
      remote.error = isForebayError(error) ? error : givenUp();
    }
    remote.isOver = true;
  }

  /** Stops what nobody asks about, and forgets it a while after its end. */
  async #watch(id: string, remote: Remote): Promise<void> {
    const { clock, closing } = this.#cluster;
    for (;;) {
      await clock.sleep(warmSilenceMs / 2, closing).catch(() => undefined);
      if (!closing.aborted && clock.boottimeMs() - remote.askedMs < warmSilenceMs) continue;
      remote.stop.abort(new ForebayError('shuttingDown', 'nobody asks about this warm any more'));
      this.#remotes.delete(id);
      return;
    }
  }

  #answer(message: PeerMessage): Json {
    const remote = this.#remotes.get(textOf(message['id']));
    if (remote === undefined) throw new ForebayError('invalidRequest', 'there is no such warm here (any more)');
    remote.askedMs = this.#cluster.clock.boottimeMs();
    if (remote.error !== undefined) throw remote.error;
    const { objects, objectsDone, bytes, bytesDone, failed } = remote.progress;
    const named = failed.slice(0, FAILED_MAX).map(({ key, message: why }) => ({ key, message: why }));
    return { objects, objectsDone, bytes, bytesDone, failed: named, isOver: remote.isOver };
  }
}

function givenUp(): ForebayError {
  return new ForebayError('shuttingDown', 'the warm was given up');
}

function total(states: ReadonlyMap<string, State>): WarmProgress {
  const nodes: NodeProgress[] = [];
  const failed: { key: string; message: string }[] = [];
  let [objects, objectsDone, bytes, bytesDone] = [0, 0, 0, 0];
  for (const [node, { progress, isOver }] of states) {
    objects += progress.objects;
    objectsDone += progress.objectsDone;
    bytes += progress.bytes;
    bytesDone += progress.bytesDone;
    failed.push(...progress.failed);
    nodes.push({ node, bytes: progress.bytes, bytesDone: progress.bytesDone, isOver });
  }
  return { objects, objectsDone, bytes, bytesDone, failed, nodes };
}

function selectionFromWire(fields: Fields): Selection {
  const volume = textOf(fields['volume']);
  if (fields['key'] !== undefined) return { volume, key: textOf(fields['key']) };
  if (fields['prefix'] !== undefined) return { volume, prefix: textOf(fields['prefix']) };
  throw malformed('a warm without key and prefix');
}

function progressFromWire(fields: Fields): WarmProgress {
  return {
    objects: countOf(fields['objects']),
    objectsDone: countOf(fields['objectsDone']),
    bytes: countOf(fields['bytes']),
    bytesDone: countOf(fields['bytesDone']),
    failed: listOf(fields['failed']).map((item) => {
      const { key, message } = fieldsOf(item);
      return { key: textOf(key), message: textOf(message) };
    }),
  };
}

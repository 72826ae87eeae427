/**
 * Object metadata in a cluster (DESIGN.md section 5): the owner of a key's directory asks the origin for all, once per
 * `revalidate`, and hears of every write through Forebay before the write is acknowledged (S-2).
 *
 * In volumes with `write`, only the owner takes a remembered fact for fresh, and only one that it learned since the
 * membership last changed: whoever was the owner before may have been told of a write.
 */
import type { Fields } from '../cluster/chunk-wire.ts';
import { countOf, fieldsOf, itemsOf, textOf } from '../cluster/chunk-wire.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { slotOfDirectory } from '../cluster/slot.ts';
import { ERRORS, type ErrorCode, ForebayError, isForebayError } from '../core/errors.ts';
import { type ContentId, parseContentId } from '../core/ids.ts';
import { headCallMs, ownerRetryMs, writtenPatienceMs } from '../core/limits.ts';
import type { ObjectVersion } from '../core/object.ts';
import type { Json, PeerMessage } from '../io/peers.ts';
import type { Detours } from './detours.ts';
import { isWrittenHere } from './recorded.ts';
import type { VolumeSource } from './volume-source.ts';

/** A version at the origin, and its content id where that is older than the version there: it was written through Forebay. */
export interface HeardVersion extends ObjectVersion {
  readonly content?: ContentId;
}

/** What the owner says: the version, or that there is none, as of `ageMs` ago at most. */
export interface OwnerAnswer {
  readonly version: HeardVersion | undefined;
  readonly ageMs: number;
}

/** How an owner finds the current version, without asking further. `not`: an ETag that is known to be replaced. */
export type LocalHead = (
  volume: string,
  key: string,
  options: { not?: string; signal: AbortSignal },
) => Promise<OwnerAnswer>;

export interface HeadsParts {
  readonly head: LocalHead;
  readonly written: (volume: string, key: string) => void;
  readonly detours: Detours;
  readonly source: (volume: string) => VolumeSource;
}

export class Heads {
  readonly #cluster: Cluster;
  readonly #detours: Detours;
  #ownedSinceMs = Number.NEGATIVE_INFINITY;

  constructor(cluster: Cluster, parts: HeadsParts) {
    this.#cluster = cluster;
    this.#detours = parts.detours;
    cluster.handle('head', (_from, message, signal) => this.#answer(message, parts.head, signal));
    cluster.handle('head.origin', (_from, { volume, key }) => {
      const source = parts.source(textOf(volume));
      const head = () => source.origin.head(textOf(key));
      return parts.detours.serve(source.volume.name, async () => answerOf({ version: await head(), ageMs: 0 }));
    });
    cluster.handle('head.written', (_from, message) => {
      for (const item of itemsOf(message)) {
        const { volume, key } = fieldsOf(item);
        parts.written(textOf(volume), textOf(key));
      }
      return null;
    });
    cluster.onMembers(() => {
      this.#ownedSinceMs = cluster.clock.boottimeMs();
    });
  }

  /** Whether a fact learned at `checkedMs` may be taken for fresh here by its age alone. */
  maySettle(source: VolumeSource, key: string, checkedMs: number): boolean {
    if (!source.volume.write) return true;
    return checkedMs >= this.#ownedSinceMs && this.#isOwner(source.volume.name, key) && this.#cluster.mayAct();
  }

  /** `not`: an ETag that the origin refused. The owner's answer; `undefined` when this node is to ask the origin: it is the owner, or the owner cannot be asked. */
  async ask(source: VolumeSource, key: string, not?: string): Promise<OwnerAnswer | undefined> {
    const volume = source.volume.name;
    const owner = this.#owner(volume, key);
    const { self, hellos } = this.#cluster;
    // the origin knows best: of an owner that is silent nobody need wait to be told so
    if (owner === undefined || owner === self || hellos.isSilent(owner)) return undefined;
    try {
      const message = { type: 'head', volume, key, not };
      const answer = fieldsOf(
        await hellos.unlessSilent(owner, (signal) =>
          this.#cluster.call(owner, message, { deadlineMs: headCallMs, signal }),
        ),
      );
      return { version: versionFromWire(key, answer), ageMs: countOf(answer['ageMs']) };
    } catch (error) {
      if (!isForebayError(error)) throw error;
      if (isForebayError(error, ...OWNER_ERRORS)) return undefined;
      throw error;
    }
  }

  /** What the origin has, asked by this node, or, where it cannot reach the origin, by another. Rejects as `Origin.head`. */
  async askOrigin({ volume, origin }: VolumeSource, key: string): Promise<ObjectVersion | undefined> {
    return this.#detours.origin(volume.name, () => origin.head(key), {
      kind: 'head',
      message: { type: 'head.origin', volume: volume.name, key },
      read: (answer) => versionFromWire(key, fieldsOf(answer)),
    });
  }

  /**
   * A write through this node took effect: its owner is told before the write is acknowledged. While the owner cannot be
   * reached the write waits, until the owner is another or `writtenPatienceMs` have passed.
   */
  async written(volume: string, key: string): Promise<void> {
    const { clock, closing } = this.#cluster;
    const untilMs = clock.boottimeMs() + writtenPatienceMs;
    for (;;) {
      const owner = this.#owner(volume, key);
      if (owner === undefined || owner === this.#cluster.self || closing.aborted) return;
      try {
        await this.#cluster.call(owner, { type: 'head.written', items: [{ volume, key }] });
        return;
      } catch (error) {
        if (!isForebayError(error)) throw error;
        if (clock.boottimeMs() >= untilMs) {
          const message = `${owner} could not be told of a write to ${volume}/${key}: it may answer with what was there before, for as long as its revalidate says`;
          this.#cluster.emit({ kind: 'node.warning', message });
          return;
        }
        await clock.sleep(ownerRetryMs, closing).catch(() => undefined);
      }
    }
  }

  #owner(volume: string, key: string): string | undefined {
    return this.#cluster.placement.owner(slotOfDirectory(volume, key))?.node;
  }

  #isOwner(volume: string, key: string): boolean {
    return this.#owner(volume, key) === this.#cluster.self;
  }

  async #answer(message: PeerMessage, head: LocalHead, signal: AbortSignal): Promise<Json> {
    const volume = textOf(message['volume']);
    const key = textOf(message['key']);
    if (!this.#isOwner(volume, key) || !this.#cluster.mayAct())
      throw new ForebayError('notHeld', `${this.#cluster.self} is not the owner of ${volume}/${key}`);
    const { not } = message;
    return answerOf(await head(volume, key, { signal, ...(typeof not === 'string' && { not }) }));
  }
}

function answerOf({ version, ageMs }: OwnerAnswer): Json {
  const age = { ageMs: Math.ceil(Math.min(ageMs, Number.MAX_SAFE_INTEGER)) };
  return version === undefined ? age : { ...versionToWire(version), ...age };
}

/** The owner cannot help: this node asks the origin itself. A throttled origin is not asked by everyone in turn. */
const OWNER_ERRORS: readonly ErrorCode[] = [
  'originUnavailable',
  'peerUnreachable',
  'peerTimeout',
  'peerRefused',
  'notHeld',
  'noSuchBucket',
  'shuttingDown',
  'overloaded',
  'invalidRequest',
  'internal',
].filter((code): code is ErrorCode => code in ERRORS);

function versionToWire(version: HeardVersion): { readonly [name: string]: Json } {
  const { sizeBytes, etag, modifiedMs, headers, metadata, content } = version;
  const written = content !== undefined && isWrittenHere(content) ? { content } : {};
  return { sizeBytes, etag, modifiedMs, headers: { ...headers }, metadata: { ...metadata }, ...written };
}

function versionFromWire(key: string, fields: Fields): HeardVersion | undefined {
  if (fields['etag'] === undefined) return undefined;
  const content = fields['content'] === undefined ? undefined : parseContentId(textOf(fields['content']));
  return {
    ...(content !== undefined && isWrittenHere(content) && { content }),
    key,
    sizeBytes: countOf(fields['sizeBytes']),
    etag: textOf(fields['etag']),
    modifiedMs: countOf(fields['modifiedMs']),
    headers: textsOf(fields['headers']),
    metadata: textsOf(fields['metadata']),
  };
}

function textsOf(value: Json | undefined): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(fieldsOf(value)).map(([name, text]) => [name, textOf(text)]));
}

/**
 * Who looks after a volume: one node at a time finalises, drains and repairs what is written to it. The right is a key in the
 * coordinator under the node's session, so it vanishes with the node, and others take it. Its create revision is the fencing token:
 * every commit of a keeper compares it (S-16), so that one that was paused for longer than its session and wakes changes
 * nothing; what it still sends to the origin is caught by the conditions there.
 *
 * Volumes are spread: the members have an order for each, by hash, and the later in it, the longer a node waits before it takes one.
 * While the coordinator is away nobody acts as keeper (S-15).
 */
import { hash } from 'node:crypto';
import { isForebayError } from '../core/errors.ts';
import { keeperLookMs, keeperRankMs, keeperRanksMax, keeperRetryMs } from '../core/limits.ts';
import type { Compare, Coordinator, KeyValue } from '../io/coordinator.ts';
import type { Clock } from '../io/io.ts';
import type { Emit } from '../observe/events.ts';

/** This node in its cluster, as keepers need it; `Cluster` is one. */
export interface KeeperSelf {
  readonly self: string;
  /** This life of the node; another one begins when a session was lost. */
  readonly session: string;
  readonly members: { readonly members: readonly { readonly node: string }[] };
  /** The session is not lapsed. */
  mayAct(): boolean;
  /** Holds while this session is in. */
  fence(): Compare;
}

export interface KeeperLease {
  readonly volume: string;
  /** For every commit that the keeper makes. */
  readonly fence: Compare;
  /** Aborted once another may be keeper. */
  readonly lost: AbortSignal;
  /** Whether the right is certain now: ask before each act that others must not see late. */
  mayAct(): boolean;
}

export interface KeeperOptions {
  readonly volume: string;
  readonly self: KeeperSelf;
  readonly coordinator: Coordinator;
  readonly clock: Clock;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  /** Does the work of a keeper until `lease.lost` aborts; the right is taken again only after it has settled. */
  readonly keep: (lease: KeeperLease) => Promise<void>;
}

export function keeperKey(volume: string): string {
  return `keepers/${volume}`;
}

/** Who holds the key. */
interface Holder {
  readonly node: string;
  readonly session: string;
}

/** The node that keeps a volume; `undefined` while none does. Rejects as `Coordinator`. */
export async function keeperOf(coordinator: Coordinator, volume: string): Promise<string | undefined> {
  const { reads } = await coordinator.transaction({ compares: [], apply: [{ read: keeperKey(volume) }] });
  return reads[0] && parseHolder(reads[0].value)?.node;
}

/** Runs until `signal` aborts; the key goes with the session. */
export async function runKeeper(options: KeeperOptions): Promise<void> {
  const { signal, clock } = options;
  while (!signal.aborted) {
    try {
      await seek(options);
    } catch (error) {
      if (signal.aborted) return;
      if (!isForebayError(error)) throw error;
      await clock.sleep(keeperRetryMs, signal).catch(() => undefined);
    }
  }
}

/** Waits for the right or takes it; returns when it should be looked at anew. */
async function seek(options: KeeperOptions): Promise<void> {
  const { volume, self, coordinator, clock, signal } = options;
  const found = await read(options);
  if (found.entry === undefined) {
    await clock.sleep(rankOf(volume, self) * keeperRankMs, signal);
    const createRevision = self.mayAct() ? await take(options) : undefined;
    if (createRevision !== undefined) await hold(options, createRevision);
    else await clock.sleep(keeperLookMs, signal);
    return;
  }
  const holder = parseHolder(found.entry.value);
  if (holder?.session === self.session && self.session !== '') {
    await hold(options, found.entry.createRevision);
    return;
  }
  await untilGone(coordinator, { volume, createRevision: found.entry.createRevision, ...found, signal });
}

async function read({ volume, coordinator, signal }: KeeperOptions): Promise<{ entry?: KeyValue; revision: number }> {
  signal.throwIfAborted();
  const key = keeperKey(volume);
  const { reads, revision } = await coordinator.transaction({ compares: [], apply: [{ read: key }] });
  const [entry] = reads;
  return { revision, ...(entry && { entry }) };
}

/** The token; `undefined` when another was first. An answer that was lost shows in the key. */
async function take({ volume, self, coordinator }: KeeperOptions): Promise<number | undefined> {
  const key = keeperKey(volume);
  const { session } = self;
  const value = new TextEncoder().encode(JSON.stringify({ node: self.self, session } satisfies Holder));
  const result = await coordinator.transaction({
    compares: [{ key, target: 'createRevision', equals: 0 }, self.fence()],
    apply: [{ put: key, value, session }],
  });
  return result.succeeded ? result.revision : undefined;
}

async function hold(options: KeeperOptions, createRevision: number): Promise<void> {
  const { volume, self, coordinator, clock, emit, signal, keep } = options;
  const { session } = self;
  const over = new AbortController();
  const lost = AbortSignal.any([signal, over.signal]);
  const lease: KeeperLease = {
    volume,
    fence: { key: keeperKey(volume), target: 'createRevision', equals: createRevision },
    lost,
    mayAct: () => !lost.aborted && self.session === session && self.mayAct(),
  };
  emit({ kind: 'keeper.begun', volume, token: createRevision });
  const watching = untilGone(coordinator, { volume, createRevision, revision: createRevision, signal: lost });
  const looking = untilAnotherLife({ self, session, clock, signal: lost });
  const ended = Promise.race([watching, looking]).finally(() => over.abort(new Error(`no longer keeper of ${volume}`)));
  const keeping = keep(lease).finally(() => over.abort(new Error('the keeper has ended')));
  try {
    await ended;
  } finally {
    await Promise.allSettled([watching, looking, keeping]);
    emit({ kind: 'keeper.ended', volume });
  }
  await keeping;
}

/** Returns when the key of that revision is gone, or may be. */
async function untilGone(
  coordinator: Coordinator,
  from: { volume: string; createRevision: number; revision: number; signal: AbortSignal },
): Promise<void> {
  const key = keeperKey(from.volume);
  const { signal } = from;
  for await (const event of coordinator.watch(key, { afterRevision: from.revision, signal })) {
    const change = event.changes.find((each) => each.key === key);
    const isStill = change !== undefined && !('deleted' in change) && change.createRevision === from.createRevision;
    if (event.kind === 'snapshot' ? !isStill : change !== undefined && !isStill) return;
  }
}

/** A session that was lost takes its keys along, also where the watch cannot tell. */
async function untilAnotherLife(of: {
  self: KeeperSelf;
  session: string;
  clock: Clock;
  signal: AbortSignal;
}): Promise<void> {
  while (!of.signal.aborted && of.self.session === of.session)
    await of.clock.sleep(keeperLookMs, of.signal).catch(() => undefined);
}

/** This node's place in the volume's order of members. */
function rankOf(volume: string, { self, members }: KeeperSelf): number {
  const weight = (node: string) => hash('sha256', JSON.stringify([volume, node]), 'hex');
  const own = weight(self);
  const before = members.members.filter(({ node }) => node !== self && weight(node) < own).length;
  return Math.min(before, keeperRanksMax);
}

function parseHolder(value: Uint8Array): Holder | undefined {
  try {
    const found = JSON.parse(new TextDecoder().decode(value)) as Partial<Holder> | null;
    return typeof found?.session === 'string' && typeof found.node === 'string' ? (found as Holder) : undefined;
  } catch {
    return undefined;
  }
}

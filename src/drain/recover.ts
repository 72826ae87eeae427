/**
 * Rebuilds the records of a volume from what its nodes keep, after the coordinator lost its data (DESIGN.md section 8). Only keys without a
 * record are given one, so that nothing is taken back that the coordinator knows; of several versions of a key the newest counts.
 *
 * What is lost: deletes that the origin had not heard of, and what a checkpoint in the making held ready.
 * Order: revisions of the old coordinator mean nothing in the new one. The versions are committed in their old order, and what each
 * of them had to wait for (S-7) is told in new revisions.
 */

import { countOf, fieldsOf, listOf, textOf } from '../cluster/chunk-wire.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import { recoverPageMax } from '../core/limits.ts';
import type { Json, PeerMessage } from '../io/peers.ts';
import type { DirtyRecord } from '../write/object-record.ts';
import { decodeRecord, encodeRecord } from '../write/record-wire.ts';
import type { Records } from '../write/records.ts';
import { committedRevision, dirtySince } from '../write/version-order.ts';
import type { KeptContents } from './leave.ts';

export interface RecoverReport {
  /** Versions that have a record again. */
  readonly recovered: number;
  readonly bytes: number;
  /** Keys that have a record: the coordinator knows better. */
  readonly known: number;
  /** Members that did not answer: what only they have is not in it. */
  readonly silent: readonly string[];
}

export interface RecoverOptions {
  readonly cluster: Pick<Cluster, 'self' | 'members' | 'call' | 'handle' | 'fence'>;
  readonly records: Records;
  readonly keeping: Pick<KeptContents, 'contents'>;
  /** Somebody says that the coordinator lost its data: one that was used for long since then does not show it. */
  readonly force: boolean;
  /** Copies pursued. */
  readonly replicasOf: (volume: string) => number;
}

interface Noted {
  readonly key: string;
  readonly version: DirtyRecord;
  /** In the old coordinator. */
  readonly committed: number;
  readonly since: number;
  readonly holders: Set<string>;
}

/** Tells who recovers what this node keeps. Before the cluster is joined. */
export function serveRecovery({ cluster, keeping }: Pick<RecoverOptions, 'cluster' | 'keeping'>): void {
  cluster.handle('recover.notes', (_from, message) => notesHere(keeping, message));
}

/** Rejects with `invalidRequest` where the coordinator has not lost anything, as far as can be told, and as `Records`. */
export async function recover(volume: string, options: RecoverOptions, signal: AbortSignal): Promise<RecoverReport> {
  const { notes, silent } = await gather(volume, options, signal);
  const newest = newestByKey(notes);
  const { asOf } = await options.records.read(volume, '', signal);
  const isLost = options.force || newest.some(({ committed }) => committed > asOf);
  const report = { recovered: 0, bytes: 0, known: 0, silent };
  // New revisions of what was committed here, in the old order.
  const order: { readonly old: number; readonly now: number }[] = [];
  for (const noted of newest) {
    signal.throwIfAborted();
    const { record, revision } = await options.records.read(volume, noted.key, signal);
    if (record !== undefined) {
      report.known++;
      order.push({ old: noted.committed, now: revision });
      continue;
    }
    if (!isLost)
      throw new ForebayError(
        'invalidRequest',
        `the coordinator (revision ${asOf}) seems not to have lost what it knew of ${volume}: ${noted.key} was committed at ${noted.committed}. Where its data was lost long ago, use forebay recover --force`,
      );
    const now = await give(volume, noted, order, options);
    if (now === undefined) {
      report.known++;
      continue;
    }
    order.push({ old: noted.committed, now });
    report.recovered++;
    report.bytes += noted.version.sizeBytes;
  }
  return report;
}

async function give(
  volume: string,
  noted: Noted,
  order: readonly { readonly old: number; readonly now: number }[],
  { records, cluster, replicasOf }: RecoverOptions,
): Promise<number | undefined> {
  const { committedRevision: _committed, dirtySince: _since, ...version } = noted.version;
  const replicas = Array.from(noted.holders);
  const before = (old: number) => Math.max(0, ...order.filter((each) => each.old <= old).map(({ now }) => now));
  const current: DirtyRecord = {
    ...version,
    replicas,
    level: replicas.length >= replicasOf(volume) ? 'replicated' : 'local',
    begunRevision: before(noted.version.begunRevision),
    ...(noted.since < noted.committed && { dirtySince: before(noted.since - 1) + 1 }),
  };
  try {
    return await records.commit({
      volume,
      key: noted.key,
      expected: 0,
      record: { current },
      fences: [cluster.fence()],
    });
  } catch (error) {
    if (isForebayError(error, 'recordChanged')) return undefined;
    throw error;
  }
}

/** By the old order of commits. */
function newestByKey(notes: readonly Noted[]): Noted[] {
  const newest = new Map<string, Noted>();
  for (const noted of notes) {
    const found = newest.get(noted.key);
    if (found?.version.content === noted.version.content) {
      for (const node of noted.holders) found.holders.add(node);
      continue;
    }
    if (found === undefined || isNewer(noted, found)) newest.set(noted.key, noted);
  }
  return Array.from(newest.values()).sort((a, b) => a.committed - b.committed);
}

/** Content ids of what is written here rise with time. */
function isNewer(a: Noted, b: Noted): boolean {
  return a.committed === b.committed ? a.version.content > b.version.content : a.committed > b.committed;
}

async function gather(
  volume: string,
  { cluster }: RecoverOptions,
  signal: AbortSignal,
): Promise<{ notes: Noted[]; silent: string[] }> {
  const notes: Noted[] = [];
  const silent: string[] = [];
  await Promise.all(
    cluster.members.members.map(async ({ node }) => {
      try {
        for (let after = ''; ; ) {
          const answer = await cluster.call(node, { type: 'recover.notes', volume, after }, { signal });
          const page = listOf(answer);
          for (const item of page) notes.push(...notedFromWire(item, node));
          if (page.length < recoverPageMax) return;
          after = textOf(fieldsOf(page.at(-1))['content']);
        }
      } catch (error) {
        if (!isForebayError(error) || signal.aborted) throw error;
        silent.push(node);
      }
    }),
  );
  return { notes, silent };
}

function notesHere(keeping: Pick<KeptContents, 'contents'>, message: PeerMessage): Json {
  const volume = textOf(message['volume']);
  const after = textOf(message['after']);
  return Array.from(keeping.contents())
    .filter((kept) => kept.volume === volume && kept.content > after && kept.noted?.revision !== undefined)
    .sort((a, b) => (a.content < b.content ? -1 : 1))
    .slice(0, recoverPageMax)
    .map(({ key, content, noted }) => ({
      key,
      content,
      revision: noted?.revision,
      record: Buffer.from(encodeRecord(noted?.record ?? {})).toString('utf8'),
    }));
}

function notedFromWire(item: Json, node: string): Noted[] {
  const fields = fieldsOf(item);
  const { current } = decodeRecord(Buffer.from(textOf(fields['record'])));
  if (current?.kind !== 'dirty' || current.content !== fields['content']) return [];
  const revision = countOf(fields['revision']);
  return [
    {
      key: textOf(fields['key']),
      version: current,
      committed: committedRevision(current, revision),
      since: dirtySince(current, revision),
      holders: new Set([node]),
    },
  ];
}

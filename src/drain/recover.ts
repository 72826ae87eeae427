/**
 * Rebuilds the records of a volume from what its nodes keep, after the coordinator lost its data, or was set back to an older state of it
 * (DESIGN.md section 8). A key is given the newest version that nodes noted in a life of the records that is lost (`write/record-lineage.ts`),
 * unless its record is newer, so that nothing is taken back that the coordinator knows. What is older goes in its time.
 *
 * What is lost: deletes that the origin had not heard of, and what a checkpoint in the making held ready.
 * Order: revisions of the old coordinator mean nothing in the new one. The versions are committed in their old order, and what each
 * of them had to wait for (S-7) is told in new revisions.
 */

import { countOf, fieldsOf, listOf, textOf } from '../cluster/chunk-wire.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import { recoverPageMax } from '../core/limits.ts';
import type { Json, PeerMessage } from '../io/peers.ts';
import type { DirtyRecord } from '../write/object-record.ts';
import type { RecordLineage } from '../write/record-lineage.ts';
import { decodeRecord, encodeRecord } from '../write/record-wire.ts';
import type { Recorded, Records } from '../write/records.ts';
import { committedRevision, dirtySince, succeeding } from '../write/version-order.ts';
import type { KeptContents } from './leave.ts';
import { isNewerThan, withOwn } from './recovered-version.ts';

export interface RecoverReport {
  /** Versions that have a record again. */
  readonly recovered: number;
  /** Of these, the ones in whose place an older version stood: the coordinator was set back. */
  readonly replaced: number;
  readonly bytes: number;
  /** Keys that have a record: the coordinator knows better. */
  readonly known: number;
  /** Members that did not answer: what only they have is not in it. */
  readonly silent: readonly string[];
}

export interface RecoverOptions {
  readonly cluster: Pick<Cluster, 'self' | 'members' | 'call' | 'handle' | 'fence'>;
  readonly records: Records;
  readonly lineage: Pick<RecordLineage, 'read'>;
  readonly keeping: Pick<KeptContents, 'contents' | 'judged'>;
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
  /** The life of the records that these revisions are of; empty: not known. */
  readonly lineage: string;
  /** Its holder has not heard a record name it since that life was over. */
  readonly isForeign: boolean;
  readonly holders: Set<string>;
}

/** Tells who recovers what this node keeps. Before the cluster is joined. */
export function serveRecovery({ cluster, keeping }: Pick<RecoverOptions, 'cluster' | 'keeping'>): void {
  cluster.handle('recover.notes', (_from, message) => notesHere(keeping, message));
  cluster.handle('recover.judged', (_from, message) => {
    for (const content of listOf(message['contents'])) keeping.judged(textOf(content) as ContentId);
    return null;
  });
}

/** Rejects with `invalidRequest` where the coordinator has not lost anything, as far as can be told, and as `Records`. */
export async function recover(volume: string, options: RecoverOptions, signal: AbortSignal): Promise<RecoverReport> {
  const { notes, silent } = await gather(volume, options, signal);
  const newest = newestByKey(notes);
  const { id } = await options.lineage.read();
  const { asOf } = await options.records.read(volume, '', signal);
  const isOfLost = ({ lineage, isForeign, committed }: Noted) =>
    options.force || isForeign || committed > asOf || (lineage !== '' && lineage !== id);
  const isLost = newest.some(isOfLost);
  const report = { recovered: 0, replaced: 0, bytes: 0, known: 0, silent };
  const given = new Set<ContentId>();
  // New revisions of what was committed here, in the old order.
  const order: Revisions[] = [];
  for (const noted of newest) {
    signal.throwIfAborted();
    const found = await options.records.read(volume, noted.key, signal);
    const isKnown =
      found.record !== undefined && !(isOfLost(noted) && isNewerThan(noted.version, found.record.current));
    if (!isKnown && !isLost)
      throw new ForebayError(
        'invalidRequest',
        `the coordinator (revision ${asOf}) seems not to have lost what it knew of ${volume}: ${noted.key} was committed at ${noted.committed}. Where its data was lost long ago, use forebay recover --force`,
      );
    const now = isKnown ? undefined : await give(volume, noted, { found, order }, options);
    if (now === undefined) {
      report.known++;
      order.push({ old: noted.committed, now: found.revision });
      continue;
    }
    order.push({ old: noted.committed, now });
    given.add(noted.version.content);
    report.recovered++;
    if (found.record?.current !== undefined) report.replaced++;
    report.bytes += noted.version.sizeBytes;
  }
  await tellJudged(
    notes.filter(({ version }) => !given.has(version.content)),
    options,
    signal,
  );
  return report;
}

/** A commit in the old coordinator and in the new one. */
interface Revisions {
  readonly old: number;
  readonly now: number;
}

async function give(
  volume: string,
  noted: Noted,
  { found, order }: { readonly found: Recorded; readonly order: readonly Revisions[] },
  { records, cluster, replicasOf }: RecoverOptions,
): Promise<number | undefined> {
  const { committedRevision: _committed, dirtySince: _since, ...version } = noted.version;
  const replicas = Array.from(noted.holders);
  const before = (old: number) => Math.max(0, ...order.filter((each) => each.old <= old).map(({ now }) => now));
  const older = found.record?.current;
  const current: DirtyRecord = {
    ...version,
    replicas,
    level: replicas.length >= replicasOf(volume) ? 'replicated' : 'local',
    begunRevision: before(noted.version.begunRevision),
    ...(noted.since < noted.committed && { dirtySince: before(noted.since - 1) + 1 }),
    ...succeeding(found.record, found.revision),
    // the older version may reach the origin until the drain hears of this one
    ...(older?.kind === 'dirty' && { base: withOwn(version.base, older.content) }),
  };
  try {
    return await records.commit({
      volume,
      key: noted.key,
      expected: found.revision,
      record: { ...found.record, current },
      fences: [cluster.fence()],
    });
  } catch (error) {
    if (isForebayError(error, 'recordChanged')) return undefined;
    throw error;
  }
}

/** Holders let go of what is older, in its time. One that does not hear of it is told by the next recovery. */
async function tellJudged(
  judged: readonly Noted[],
  { cluster }: Pick<RecoverOptions, 'cluster'>,
  signal: AbortSignal,
): Promise<void> {
  const contents = new Map<string, string[]>();
  for (const { version, holders } of judged)
    for (const node of holders) contents.set(node, [...(contents.get(node) ?? []), version.content]);
  await Promise.all(
    Array.from(contents, async ([node, all]) => {
      try {
        for (let at = 0; at < all.length; at += recoverPageMax)
          await cluster.call(
            node,
            { type: 'recover.judged', contents: all.slice(at, at + recoverPageMax) },
            { signal },
          );
      } catch (error) {
        if (!isForebayError(error) || signal.aborted) throw error;
      }
    }),
  );
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

/** Revisions tell of one life of the records only; content ids of what is written here rise with time. */
function isNewer(a: Noted, b: Noted): boolean {
  return a.lineage !== b.lineage || a.committed === b.committed
    ? a.version.content > b.version.content
    : a.committed > b.committed;
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
    .map(({ key, content, noted, isForeign }) => ({
      key,
      content,
      revision: noted?.revision,
      lineage: noted?.lineage ?? '',
      isForeign,
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
      lineage: textOf(fields['lineage']),
      isForeign: fields['isForeign'] === true,
      holders: new Set([node]),
    },
  ];
}

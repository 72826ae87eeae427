/** Which contents a record is about, and who holds them for it. */
import type { ContentId } from '../core/ids.ts';
import type { ObjectRecord } from './object-record.ts';

/** Contents that a record names: as dirty, as drained, or as what a checkpoint will put there. */
export function contentsOf({ current, intents = [] }: ObjectRecord): ContentId[] {
  const versions = [...(current === undefined ? [] : [current]), ...intents.map(({ to }) => to)];
  return versions.flatMap((version) => (version.kind === 'tombstone' ? [] : [version.content]));
}

/** A record counts on this node for the content. */
export function isKeeper(record: ObjectRecord | undefined, content: ContentId, node: string): boolean {
  const { current, intents = [] } = record ?? {};
  return [current, ...intents.map(({ to }) => to)].some(
    (version) => version?.kind === 'dirty' && version.content === content && version.replicas.includes(node),
  );
}

/** The coordinator's revision when the version that a note is of was begun. */
export function begunRevision(record: ObjectRecord | undefined): number | undefined {
  const { current, intents = [] } = record ?? {};
  const version = [current, ...intents.map(({ to }) => to)].find((one) => one !== undefined && one.kind !== 'stub');
  return version !== undefined && 'begunRevision' in version ? version.begunRevision : undefined;
}

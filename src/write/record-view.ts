/** The records as the read path looks at them (`read/recorded.ts`): versions, without what only writes and drains need to know. */
import type { ContentId } from '../core/ids.ts';
import type { ObjectHeaders } from '../core/object.ts';
import type { ObjectContent, ObjectRecord } from './object-record.ts';
import type { Records } from './records.ts';

interface ViewedVersion {
  readonly content: ContentId;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly headers: ObjectHeaders;
  readonly metadata: Readonly<Record<string, string>>;
}

type Viewed =
  | { readonly kind: 'dirty'; readonly version: ViewedVersion; readonly replicas: readonly string[] }
  | { readonly kind: 'deleted' }
  | { readonly kind: 'stub'; readonly version: ViewedVersion; readonly etag: string };

export interface RecordView {
  /** What is recorded now; `undefined`: the origin's answer counts. Rejects as `Records.read`. */
  read(volume: string, key: string, signal?: AbortSignal): Promise<Viewed | undefined>;
  list(
    volume: string,
    options: { prefix: string; after?: string; limit: number; signal?: AbortSignal },
  ): Promise<readonly { readonly key: string; readonly recorded: Viewed | undefined }[]>;
}

export function createRecordView(records: Pick<Records, 'read' | 'list'>): RecordView {
  return {
    async read(volume, key, signal) {
      return viewed((await records.read(volume, key, signal)).record);
    },
    async list(volume, options) {
      const found = await records.list(volume, options);
      return found.map(({ key, record }) => ({ key, recorded: viewed(record) }));
    },
  };
}

function viewed(record: ObjectRecord | undefined): Viewed | undefined {
  const current = record?.current;
  switch (current?.kind) {
    case undefined:
      return undefined;
    case 'dirty':
      return { kind: 'dirty', version: versionOf(current), replicas: current.replicas };
    case 'stub':
      return { kind: 'stub', version: versionOf(current), etag: current.etag };
    default:
      return current?.drained ? undefined : { kind: 'deleted' };
  }
}

function versionOf({ content, sizeBytes, modifiedMs, headers, metadata }: ObjectContent): ViewedVersion {
  return { content, sizeBytes, modifiedMs, headers, metadata };
}

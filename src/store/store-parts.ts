import type { ContentId } from '../core/ids.ts';
import type { DiskHealth } from './disk-health.ts';
import type { Eviction } from './eviction.ts';
import type { HotCache } from './hot-cache.ts';
import type { Journal } from './journal.ts';
import type { Format, Layout } from './layout.ts';
import type { OpenFiles } from './open-files.ts';
import type { Packs } from './packs.ts';
import type { Removal } from './removal.ts';
import type { Space } from './space.ts';
import type { StoreIndex } from './store-index.ts';
import type { ValueBytes } from './value-bytes.ts';
import type { Verification } from './verification.ts';

/** What a store is made of; `open-store.ts` puts it together. */
export interface StoreParts {
  readonly index: StoreIndex;
  readonly journal: Journal;
  readonly packs: Packs;
  readonly files: OpenFiles;
  readonly space: Space;
  readonly hot: HotCache<ContentId>;
  readonly health: DiskHealth;
  readonly removal: Removal;
  readonly eviction: Eviction;
  readonly verification: Verification;
  readonly lock: { release(): Promise<void> };
  readonly layout: Layout;
  readonly format: Format;
  readonly valueBytes: ValueBytes;
  readonly dataPath: (id: ContentId) => string;
}

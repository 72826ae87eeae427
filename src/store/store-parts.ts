import type { ContentId } from '../core/ids.ts';
import type { DiskHealth } from './disk-health.ts';
import type { Eviction } from './eviction.ts';
import type { HotCache } from './hot-cache.ts';
import type { Journal } from './journal.ts';
import type { Layout } from './layout.ts';
import type { OpenFiles } from './open-files.ts';
import type { Packs } from './packs.ts';
import type { Removal } from './removal.ts';
import type { Space } from './space.ts';
import type { StoreIndex } from './store-index.ts';
import type { Verification } from './verification.ts';

/** What a store is made of; `open-store.ts` puts it together. */
export interface StoreParts {
  readonly index: StoreIndex;
  readonly journal: Journal;
  readonly packs: Packs;
  readonly files: OpenFiles;
  readonly space: Space;
  readonly hot: HotCache;
  readonly health: DiskHealth;
  readonly removal: Removal;
  readonly eviction: Eviction;
  readonly verification: Verification;
  readonly lock: { release(): Promise<void> };
  readonly layout: Layout;
  /** Of the directory when it was opened. */
  readonly formatVersion: number;
  readonly dataPath: (id: ContentId) => string;
}

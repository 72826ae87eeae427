/** What the write path asks of the store. */
import type { Store } from '../store/store.ts';

export type StagingStore = Pick<
  Store,
  'stage' | 'stageFile' | 'dirty' | 'dirtyContents' | 'renote' | 'cleaned' | 'discard' | 'disk' | 'reserve' | 'dataPath'
>;

/** A chunk of a content: the unit of placement, directory and broadcast. */
import type { ContentId } from '../core/ids.ts';

export interface ChunkRef {
  readonly content: ContentId;
  readonly chunk: number;
}

export function chunkName({ content, chunk }: ChunkRef): string {
  return `${content}/${chunk}`;
}

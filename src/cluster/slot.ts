/**
 * Slots: 16,384 hash classes that chunks and directories fall into, so that a change of members costs slots × nodes and
 * not chunks × nodes. All nodes of a cluster must compute the same, so these functions never change.
 */
import type { ChunkRef } from './chunk-ref.ts';

declare const brand: unique symbol;
export type Slot = number & { readonly [brand]: 'Slot' };

export const SLOTS = 16_384;

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** FNV-1a over UTF-16 code units; not well mixed by itself. */
function fold(text: string, start: number): number {
  let h = start;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), FNV_PRIME);
  return h;
}

/** MurmurHash3's finalizer: every bit of the input changes half of the output's. */
export function mix32(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** 32 well mixed bits of a text; `salt` gives independent ones. */
export function hashText(text: string, salt = 0): number {
  return mix32(fold(text, FNV_OFFSET ^ salt));
}

/** The slot of a chunk: its owner keeps the directory of the chunk's holders. About 50 ns. */
export function slotOfChunk({ content, chunk }: ChunkRef): Slot {
  return (mix32(hashText(content) ^ Math.imul(chunk + 1, 0x9e3779b1)) % SLOTS) as Slot;
}

/** The slot of the directory that a key is in: its owner is the owner of the object's metadata, and deals its broadcasts. */
export function slotOfDirectory(volume: string, key: string): Slot {
  const parent = key.slice(0, key.lastIndexOf('/') + 1);
  return (mix32(fold(parent, fold(`${volume.length}:${volume}`, FNV_OFFSET))) % SLOTS) as Slot;
}

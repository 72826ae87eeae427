/**
 * Keys and entries. A volume's suffixes make several keys parts of one entry (`<k>metadata` and `<k>kv_bytes`): they have
 * one owner, and are to have one holder. All nodes of a cluster must compute the same, so these functions never change.
 */
import { hash } from 'node:crypto';
import { mix32, SLOTS, type Slot } from '../cluster/slot.ts';

export interface Entry {
  readonly name: string;
  /** The part's suffix; empty where the key is an entry of its own. */
  readonly suffix: string;
}

export function entryOf(key: string, suffixes: readonly string[]): Entry {
  for (const suffix of suffixes)
    if (key.length > suffix.length && key.endsWith(suffix)) return { name: key.slice(0, -suffix.length), suffix };
  return { name: key, suffix: '' };
}

/** The keys of the other parts of its entry. */
export function siblingsOf(key: string, suffixes: readonly string[]): readonly string[] {
  const { name, suffix } = entryOf(key, suffixes);
  if (suffix === '') return [];
  return suffixes.filter((other) => other !== suffix).map((other) => name + other);
}

/** The slot of a key's entry: its owner knows who holds it. Keys are bytes, one character each. */
export function slotOfKey(key: string, suffixes: readonly string[]): Slot {
  const { name } = entryOf(key, suffixes);
  let h = 0x811c9dc5;
  for (let at = 0; at < name.length; at++) h = Math.imul(h ^ name.charCodeAt(at), 0x01000193);
  return (mix32(h) % SLOTS) as Slot;
}

/** 16 bytes of SHA-256 of a key, in hex. */
export function keyId(key: string): string {
  return hash('sha256', Buffer.from(key, 'latin1'), 'hex').slice(0, 32);
}

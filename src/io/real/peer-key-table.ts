/**
 * Connection keys that this node handed to its peers: who may ask for data. They live as long as this process, and no
 * longer than the secret under which they were asked for.
 *
 * Bounds:  peerKeysMax; the longest unused goes first, and its peer asks for another.
 */
import { peerKeysMax } from '../../core/limits.ts';
import type { Random } from '../io.ts';
import type { ConnectionKey } from './peer-request.ts';
import { ReplayWindow } from './replay-window.ts';

const KEY_BYTES = 32;
const ID_BYTES = 16;

export interface HandedKey extends ConnectionKey {
  /** The peer that has it. */
  readonly node: string;
  /** Name of the secret's key under which it was asked for. */
  readonly identity: string;
  readonly window: ReplayWindow;
}

export class PeerKeyTable {
  readonly #random: Random;
  /** In order of use, the longest unused first. */
  readonly #keys = new Map<string, HandedKey>();

  constructor(random: Random) {
    this.#random = random;
  }

  hand(node: string, identity: string): HandedKey {
    const id = Buffer.from(this.#random.bytes(ID_BYTES)).toString('hex');
    const key: HandedKey = {
      id,
      key: Buffer.from(this.#random.bytes(KEY_BYTES)),
      node,
      identity,
      window: new ReplayWindow(),
    };
    this.#keys.set(id, key);
    if (this.#keys.size > peerKeysMax) this.#keys.delete(this.#keys.keys().next().value as string);
    return key;
  }

  find(id: string): HandedKey | undefined {
    const key = this.#keys.get(id);
    if (key) {
      this.#keys.delete(id);
      this.#keys.set(id, key);
    }
    return key;
  }

  /** Takes back the keys of a secret that is no longer accepted. */
  keepOnly(identities: ReadonlySet<string>): void {
    for (const [id, { identity }] of this.#keys) if (!identities.has(identity)) this.#keys.delete(id);
  }

  forget(node: string): void {
    for (const [id, key] of this.#keys) if (key.node === node) this.#keys.delete(id);
  }
}

/**
 * S-10: a lookup that said yes holds: a get by the same asker within the lease returns exactly the promised bytes, as long as the holder lives
 * and can be reached, unless a client deleted or replaced the value meanwhile.
 *
 * Also, of every get: its bytes are those of a version that a client put under this key, whole (S-9, S-14); and on a well cluster a
 * deleted key is gone and a replaced one is what replaced it.
 */
import type { ContentId } from '../../src/core/ids.ts';
import type { Life } from '../sim-clock.ts';
import type { Findings } from './checker.ts';
import { KvLedger, LATE_MS } from './kv-ledger.ts';

export interface KvPlaces {
  readonly nowMs: () => number;
  /** The machine whose daemon has the first block of a content now. */
  readonly holderOf: (content: ContentId) => string | undefined;
  /** Since when nothing has been wrong with a machine, its daemon's life counted; Infinity while something is. */
  readonly wellSinceMs: (machine: string) => number;
  /** The same of all machines and all that is between them. */
  readonly allWellSinceMs: () => number;
}

interface Promised {
  readonly holder: string;
  readonly content: ContentId;
  readonly sizeBytes: number;
  readonly askedMs: number;
  readonly endMs: number;
}

/** One get: when it was asked and answered, and all bytes, or nothing. */
export interface KvGot {
  readonly machine: string;
  readonly life: Life;
  readonly key: string;
  readonly askedMs: number;
  readonly answeredMs: number;
  readonly content: ContentId | undefined;
  readonly bytes: Uint8Array | undefined;
  /** It was found, and broke off. */
  readonly broke: boolean;
}

/** A part of an entry may be copied to the node of the other part: the same bytes then have another content id. */
const isPart = (key: string): boolean => key.startsWith('entry ');

/** What is said of a well cluster is said of one that has been well for so long. */
const WELL_MS = 30_000;

export class KeptPromises {
  readonly ledger = new KvLedger();
  readonly #findings: Findings;
  readonly #places: KvPlaces;
  /** Asker's life → key → promise. */
  readonly #promised = new Map<Life, Map<string, Promised>>();
  /** How many gets were held against a promise. */
  checked = 0;

  constructor(findings: Findings, places: KvPlaces) {
    this.#findings = findings;
    this.#places = places;
  }

  /** A lookup said yes to this key. */
  promised(
    life: Life,
    seen: { key: string; content: ContentId; sizeBytes: number; askedMs: number; endMs: number },
  ): void {
    const { key, content, sizeBytes, askedMs, endMs } = seen;
    const versions = this.ledger.versions(key);
    const known = versions.find((version) => version.content === content);
    if (known !== undefined && known.sizeBytes !== sizeBytes)
      this.#findings.add('S-10', `${key} ${content} has ${known.sizeBytes} bytes, a lookup says ${sizeBytes}`);
    const holder = this.#places.holderOf(content);
    // gone again already: somebody deleted or replaced it while the answer came
    if (holder === undefined) {
      this.#promised.get(life)?.delete(key);
      return;
    }
    let promises = this.#promised.get(life);
    if (promises === undefined) this.#promised.set(life, (promises = new Map()));
    promises.set(key, { holder, content, sizeBytes, askedMs, endMs });
  }

  /** What this life may still rely on. */
  promises(life: Life): readonly string[] {
    const nowMs = this.#places.nowMs();
    return Array.from(this.#promised.get(life) ?? []).flatMap(([key, { endMs }]) => (endMs > nowMs ? [key] : []));
  }

  got(seen: KvGot): void {
    this.#checkBytes(seen);
    this.#checkPromise(seen);
    this.#checkLatest(seen);
  }

  #checkBytes({ key, bytes, content }: KvGot): void {
    if (bytes === undefined) return;
    const versions = this.ledger.versionsOf(key, bytes);
    if (versions.length === 0)
      this.#findings.add('S-9', `${key} ${content}: ${bytes.length} bytes that nobody put there`);
    else if (!isPart(key) && versions.every((version) => version.content !== undefined && version.content !== content))
      this.#findings.add('S-9', `${key} ${content} has the bytes of ${versions[0]?.content}`);
  }

  #checkPromise(seen: KvGot): void {
    const { life, machine, key, askedMs, answeredMs, content } = seen;
    const promise = this.#promised.get(life)?.get(key);
    if (promise === undefined || answeredMs >= promise.endMs) return;
    const isWell = (name: string) => this.#places.wellSinceMs(name) < promise.askedMs;
    if (!isWell(machine) || !isWell(promise.holder)) return;
    if (this.ledger.isTouched(key, promise.askedMs, answeredMs)) return;
    this.checked += 1;
    const isSame = content === promise.content || (isPart(key) && content !== undefined);
    if (isSame && !seen.broke) return;
    const what = seen.broke ? 'broke off' : content === undefined ? 'missed' : `got ${content}`;
    this.#findings.add(
      'S-10',
      `${machine} was promised ${key} ${promise.content} by ${promise.holder} at ${promise.askedMs} until ${promise.endMs} and ${what} at ${askedMs}`,
    );
  }

  #checkLatest({ machine, key, askedMs, answeredMs, content, bytes }: KvGot): void {
    const last = this.ledger.lastTouch(key);
    if (bytes === undefined || last === undefined || last.toMs + LATE_MS > askedMs) return;
    if (this.ledger.isTouched(key, askedMs, answeredMs)) return;
    if (this.#places.allWellSinceMs() > last.fromMs - WELL_MS) return;
    if (last.what === 'delete')
      this.#findings.add('S-10', `${machine} got ${key} ${content} at ${askedMs}, deleted at ${last.toMs}`);
    if (last.what !== 'put' || isPart(key)) return;
    const latest = this.ledger.versions(key).filter(({ storedMs }) => storedMs === last.toMs);
    if (latest.length === 1 && latest[0]?.content !== undefined && latest[0].content !== content)
      this.#findings.add(
        'S-10',
        `${machine} got ${key} ${content} at ${askedMs}, replaced by ${latest[0].content} at ${last.toMs}`,
      );
  }
}

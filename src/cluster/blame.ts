/**
 * Whom nobody is sent to for a while, after what askers said of their sources. An asker is never sent back at once to a source
 * that failed it. For everyone a source is avoided when it sent wrong bytes to one, or did not answer two; but one who
 * blames many has a fault of its own (memory, network), and is believed for itself only.
 */

/** How long an asker avoids a source that failed it, and everyone one that does not answer or sends wrong bytes. */
const pairMs = 10_000;
const silentMs = 5000;
const corruptMs = 60_000;
/** Askers that a silent source must have failed. */
const silentReporters = 2;
/** Sources that one may blame within `pairMs` and be believed. */
const believedMax = 3;
/** Pairs remembered; the oldest are forgotten first. */
const pairsMax = 4096;

export type BlameReason = 'unreachable' | 'timeout' | 'corrupt';

interface Record {
  untilMs: number;
  readonly silentTo: Map<string, number>;
}

export class Blame {
  readonly #sources = new Map<string, Record>();
  /** asker → source → until. */
  readonly #pairs = new Map<string, Map<string, number>>();
  #pairCount = 0;

  /** Returns whether everyone avoids the source now. */
  add(nowMs: number, asker: string, source: string, reason: BlameReason): boolean {
    const blamed = this.#remember(nowMs, asker, source);
    if (blamed > believedMax) return this.#avoided(nowMs, source);
    let record = this.#sources.get(source);
    if (record === undefined) this.#sources.set(source, (record = { untilMs: 0, silentTo: new Map() }));
    if (reason === 'corrupt') record.untilMs = Math.max(record.untilMs, nowMs + corruptMs);
    else {
      record.silentTo.delete(asker);
      record.silentTo.set(asker, nowMs);
      for (const [by, atMs] of record.silentTo)
        if (atMs < nowMs - pairMs || record.silentTo.size > silentReporters) record.silentTo.delete(by);
      if (record.silentTo.size >= silentReporters) record.untilMs = Math.max(record.untilMs, nowMs + silentMs);
    }
    return this.#avoided(nowMs, source);
  }

  /** Whether this asker is not to be sent to this source. */
  avoids(nowMs: number, asker: string, source: string): boolean {
    if (this.#sources.size === 0 && this.#pairs.size === 0) return false;
    return this.#avoided(nowMs, source) || (this.#pairs.get(asker)?.get(source) ?? 0) > nowMs;
  }

  forget(node: string): void {
    this.#sources.delete(node);
    this.#pairCount -= this.#pairs.get(node)?.size ?? 0;
    this.#pairs.delete(node);
  }

  #avoided(nowMs: number, source: string): boolean {
    return (this.#sources.get(source)?.untilMs ?? 0) > nowMs;
  }

  /** Returns how many sources this asker has blamed lately. */
  #remember(nowMs: number, asker: string, source: string): number {
    let sources = this.#pairs.get(asker);
    if (sources === undefined) this.#pairs.set(asker, (sources = new Map()));
    const before = sources.size;
    for (const [other, untilMs] of sources) if (untilMs <= nowMs) sources.delete(other);
    sources.set(source, nowMs + pairMs);
    this.#pairCount += sources.size - before;
    while (this.#pairCount > pairsMax) {
      const [oldest, pairs] = this.#pairs.entries().next().value as [string, Map<string, number>];
      this.#pairs.delete(oldest);
      this.#pairCount -= pairs.size;
    }
    return sources.size;
  }
}

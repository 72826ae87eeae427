/** Replays a trace against one node: what is there is read, the rest is stored, request after request, at the trace's pace or a multiple of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { HitCount } from './ideal-cache.ts';
import { KvClient, type Value } from './kv-client.ts';
import type { Replay, Replayed } from './kv-command.ts';
import { readTrace } from './trace.ts';

const NOTE_EVERY = 250;

export async function replay(what: Replay, note: (note: unknown) => void): Promise<Replayed> {
  const { speed, leaseMs, sizeBytes } = what;
  const requests = readTrace(what.traceFile).slice(0, what.requestsMax);
  const client = await KvClient.connect(what.node, what.volume);
  const counts: HitCount[] = [];
  const [lookupMs, getMs]: [number[], number[]] = [[], []];
  let [promised, missed, refused] = [0, 0, 0];
  const from = performance.now();
  try {
    for (const [i, { atMs, blocks }] of requests.entries()) {
      if (i % NOTE_EVERY === 0) note(i);
      const early = atMs / speed - (performance.now() - from);
      if (early > 1) await sleep(early);
      const values = blocks.map((id): Value => ({ key: `block:${id}`, seed: id + 1, sizeBytes }));
      const asked = performance.now();
      const keys = values.map(({ key }) => key);
      const leading = keys.length === 0 ? 0 : await client.lookup(keys, Math.max(1, Math.round(leaseMs / speed)));
      const answered = performance.now();
      lookupMs.push(answered - asked);
      const there = await client.get(values.slice(0, leading));
      const read = performance.now();
      if (leading > 0) getMs.push(read - answered);
      const hits = there.includes(false) ? there.indexOf(false) : there.length;
      promised += leading;
      if (read - asked < leaseMs / speed) missed += there.filter((isThere) => !isThere).length;
      refused += await client.put(values.slice(hits));
      counts.push({ atMs, blocks: blocks.length, hits });
    }
  } finally {
    client.close();
  }
  return { counts, lookupMs, getMs, promised, missed, refused, seconds: (performance.now() - from) / 1000 };
}

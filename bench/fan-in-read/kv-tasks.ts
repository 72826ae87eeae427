/** What a process of the bench does on its host. */

import { readValues, type Value, valueBytes } from './kv-client.ts';
import type { Gathered, Probe, Probed, Values } from './kv-command.ts';
import { RespClient } from './resp-client.ts';

const valueAt = ({ prefix, sizeBytes, firstSeed }: Values, index: number): Value => ({
  key: `${prefix}${index}`,
  seed: firstSeed + index,
  sizeBytes,
});

/** How many leading keys `FOREBAY.LOOKUP` promises. */
async function lookup(resp: RespClient, values: readonly Value[]): Promise<number> {
  const reply = await resp.do(['FOREBAY.LOOKUP', ...values.map(({ key }) => key)]);
  const leading = Array.isArray(reply) ? reply[0] : reply;
  if (typeof leading !== 'number') throw new Error('FOREBAY.LOOKUP: no number');
  return leading;
}

export async function put(what: { host: string; values: Values; from: number; step: number }): Promise<void> {
  const resp = await RespClient.connect(what.host);
  try {
    for (let index = what.from; index < what.values.count; index += what.step) {
      const { key, seed, sizeBytes } = valueAt(what.values, index);
      await resp.do(['SET', key, valueBytes(seed, sizeBytes)]);
    }
  } finally {
    resp.close();
  }
}

export async function gather(what: { host: string; values: Values; lookup: boolean }): Promise<Gathered> {
  const resp = await RespClient.connect(what.host);
  try {
    const values = Array.from({ length: what.values.count }, (_, i) => valueAt(what.values, i));
    const from = performance.now();
    const promised = what.lookup ? await lookup(resp, values) : values.length;
    const lookedUp = performance.now();
    const there = await readValues(resp, values.slice(0, promised));
    const seconds = (performance.now() - from) / 1000;
    return {
      seconds,
      lookupS: (lookedUp - from) / 1000,
      misses: values.length - there.filter(Boolean).length,
    };
  } finally {
    resp.close();
  }
}

export async function probe({ host, values, keysPerLookup, lookups }: Probe): Promise<Probed> {
  const resp = await RespClient.connect(host);
  const [lookupMs, getMs]: [number[], number[]] = [[], []];
  let [promised, missed] = [0, 0];
  try {
    for (let i = 0; i < lookups; i++) {
      const asked = Array.from({ length: Math.min(keysPerLookup, values.count) }, (_, k) =>
        valueAt(values, (i * keysPerLookup + i + k) % values.count),
      );
      const from = performance.now();
      const leading = await lookup(resp, asked);
      lookupMs.push(performance.now() - from);
      for (const value of asked.slice(0, leading)) {
        const begun = performance.now();
        const [there] = await readValues(resp, [value]);
        getMs.push(performance.now() - begun);
        promised += 1;
        if (there !== true) missed += 1;
      }
    }
    return { lookupMs, getMs, promised, missed };
  } finally {
    resp.close();
  }
}

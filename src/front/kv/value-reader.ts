/** kv volumes for doors that speak of objects: S3, and the admin door's listing and `explain`. */
import { ForebayError } from '../../core/errors.ts';
import { formatDuration, formatSize } from '../../core/quantity.ts';
import type { Clock } from '../../io/io.ts';
import type { Kv, KvVolume, ValueFact } from '../../kv/kv.ts';
import type { ExplainStep, OpenObject, Reader } from '../../read/reader.ts';
import { keyOfText } from './value-key.ts';
import { listValues } from './value-listing.ts';
import { objectFact, openObject } from './value-object.ts';

/** For callers that give none. */
const PATIENT = new AbortController().signal;

/** Throws noSuchBucket. */
export function kvVolumeOf(kv: Kv, name: string): KvVolume {
  const volume = kv.volumes.get(name);
  if (volume === undefined) throw new ForebayError('noSuchBucket', `there is no kv volume ${JSON.stringify(name)}`);
  return volume;
}

export function noSuchValue(): ForebayError {
  return new ForebayError('noSuchKey', 'no value of this key is there');
}

export function createValueReader({ kv, clock }: { readonly kv: Kv; readonly clock: Clock }): Reader {
  return {
    async open(volume, key, signal = PATIENT): Promise<OpenObject> {
      const value = await kvVolumeOf(kv, volume).open(keyOfText(key), signal);
      if (value === undefined) throw noSuchValue();
      return openObject(volume, key, value);
    },
    openHot(volume, key) {
      const value = kvVolumeOf(kv, volume).openHot(keyOfText(key));
      return value && openObject(volume, key, value);
    },
    async head(volume, key, signal) {
      const { facts } = await kvVolumeOf(kv, volume).lookup([keyOfText(key)], { signal });
      const fact = facts[0];
      if (fact === undefined) throw noSuchValue();
      return objectFact(volume, key, fact);
    },
    list: (request, signal = PATIENT) => listValues(kvVolumeOf(kv, request.volume), request, signal),
    warm({ volume }) {
      return refuse(volume, 'there is nothing to bring: values are where they were put');
    },
    check({ volume }) {
      return refuse(volume, 'list its values with `forebay ls`, and see `forebay status` for what is here');
    },
    async evict({ volume }) {
      return refuse(volume, 'delete values, give them a ttl, or set a smaller share');
    },
    async pin({ volume }) {
      return refuse(volume, 'a lookup keeps a value until its lease ends');
    },
    async explain(volume, key) {
      const fromMs = clock.boottimeMs();
      const fact = await kvVolumeOf(kv, volume).stat(keyOfText(key), PATIENT);
      return { steps: [explained(fact, clock.boottimeMs() - fromMs)], state: undefined };
    },
  };
}

function refuse(volume: string, instead: string): never {
  throw new ForebayError('invalidArgument', `${volume} is a kv volume, without an origin: ${instead}`);
}

function explained(fact: ValueFact | undefined, ms: number): ExplainStep {
  if (fact === undefined) return { source: 'value', result: 'a miss: no node has a value of this key', bytes: 0, ms };
  const ends = Number.isFinite(fact.remainingMs)
    ? `forgotten in ${formatDuration(fact.remainingMs)}`
    : 'never forgotten';
  const result = `a hit of ${formatSize(fact.sizeBytes)}, content ${fact.content}, ${ends}, or evicted before`;
  return { source: 'value', result, bytes: fact.sizeBytes, ms };
}

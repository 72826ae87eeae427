/** One request at the S3 door, with what its operation needs. */
import type { Volume } from '../../core/volume.ts';
import type { Clock, Network, Random } from '../../io/io.ts';
import type { Emit } from '../../observe/events.ts';
import type { Reader } from '../../read/reader.ts';
import type { Writer } from '../../write/writer.ts';
import type { Credentials } from '../credentials.ts';
import type { Exchange } from '../http/exchange.ts';
import type { Query } from '../http/query.ts';
import type { Authentication } from './sigv4.ts';

/** What the door was made of. */
export interface S3Parts {
  readonly reader: Reader;
  readonly writer: Writer;
  readonly volumes: ReadonlyMap<string, { readonly volume: Volume }>;
  readonly credentials: Credentials;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
  /** Requests to `<bucket>.<domain>` name their bucket by host; those to `<bucket>.localhost` always do. */
  readonly domain?: string;
}

export interface S3Request {
  readonly parts: S3Parts;
  readonly exchange: Exchange;
  readonly id: string;
  readonly auth: Authentication;
  readonly query: Query;
  /** Empty where the request names none. */
  readonly bucket: string;
  readonly key: string;
}

import type { Clock, Network } from '../../io/io.ts';
import type { Kv } from '../../kv/kv.ts';
import type { Emit } from '../../observe/events.ts';
import type { Credentials } from '../credentials.ts';
import type { Scans } from './scans.ts';

/** What the RESP door is put together from. */
export interface RespParts {
  readonly kv: Kv;
  /** Whether clients may write to the volume at all (`write` in its configuration). */
  isWritable(volume: string): boolean;
  readonly credentials: Credentials;
  readonly network: Network;
  readonly clock: Clock;
  readonly version: string;
  readonly emit: Emit;
}

/** What its connections and commands see. */
export interface RespShared extends RespParts {
  readonly scans: Scans;
  /** How many connections there are. */
  connections(): number;
  /** The volume's number for SELECT. */
  numberOf(volume: string): number | undefined;
}

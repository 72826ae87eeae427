/** What the door knows of one connection's client. */
import { hash, timingSafeEqual } from 'node:crypto';
import type { KvVolume } from '../../kv/kv.ts';
import type { AccessKey, Credentials, Right } from '../credentials.ts';
import { mayAccess } from '../credentials.ts';
import type { RespShared } from './resp-parts.ts';

export class Session {
  readonly id: number;
  readonly address: string;
  readonly fromMs: number;
  readonly parts: RespShared;
  key: AccessKey | undefined;
  resp3 = false;
  number = 0;
  name = '';
  library = '';
  libraryVersion = '';

  constructor(parts: RespShared, options: { id: number; address: string }) {
    this.parts = parts;
    this.id = options.id;
    this.address = options.address;
    this.fromMs = parts.clock.boottimeMs();
    this.key = parts.credentials.anonymous;
  }

  get volume(): KvVolume | undefined {
    return this.parts.kv.byNumber(this.number);
  }

  may(right: Right, volume: KvVolume): boolean {
    return this.key !== undefined && mayAccess(this.key, volume.name, right);
  }

  /** As the connection began. */
  reset(): void {
    this.key = this.parts.credentials.anonymous;
    this.resp3 = false;
    this.number = 0;
    this.name = '';
  }
}

/**
 * The key of `AUTH secret` and `AUTH id secret`; undefined where they are wrong. Takes as long for an unknown id as for a wrong secret. `default` is
 * the one key there is (`Credentials.only`), as Redis's password without a name is its default user's.
 */
export function keyOf(credentials: Credentials, id: string, secret: string): AccessKey | undefined {
  const { anonymous, only } = credentials;
  if (id === 'default' && anonymous !== undefined) return anonymous;
  const key = id === 'default' ? only : credentials.find(id);
  const same = timingSafeEqual(digest(key?.secret ?? ''), digest(secret));
  return same ? key : undefined;
}

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}

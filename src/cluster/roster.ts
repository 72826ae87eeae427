/**
 * What the coordinator's keys say of the membership, as a state that events are applied to. `members/<node>` are the
 * nodes that are there, each under its session. `members` is what they agreed on last: a membership epoch is a revision
 * of the coordinator, and its members are those of that revision, so that everyone who knows the number means the same.
 *
 * A digest of the members stands beside the number, so that a newcomer, who cannot look back, can tell whether what it
 * sees is what was agreed on. Where it is not, there are changes that await the next epoch.
 */
import { createHash } from 'node:crypto';
import { formatAddress, parseAddress } from '../core/address.ts';
import { compareKeys } from '../core/key-order.ts';
import type { Change, KeyValue, WatchEvent } from '../io/coordinator.ts';
import type { Member, Members } from './member.ts';

/** Watched, so that changes and agreements come in one order. */
export const MEMBERS_PREFIX = 'members';
const AGREED_KEY = 'members';
const MEMBER_PREFIX = 'members/';

export function memberKey(node: string): string {
  return MEMBER_PREFIX + node;
}

interface Step {
  readonly revision: number;
  readonly changes: readonly Change[];
}

interface Agreed {
  readonly epoch: number;
  readonly digest: string;
}

/** The members' keys by name, as of a revision. */
interface View {
  readonly revision: number;
  readonly entries: ReadonlyMap<string, KeyValue>;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function digestOf({ entries }: View): string {
  const hash = createHash('sha256');
  for (const key of [...entries.keys()].sort(compareKeys)) hash.update(`${key}\n${entries.get(key)?.modifyRevision}\n`);
  return hash.digest('hex').slice(0, 32);
}

function applied(view: View, revision: number, changes: readonly Change[]): View {
  const entries = new Map(view.entries);
  for (const change of changes) {
    if (!change.key.startsWith(MEMBER_PREFIX)) continue;
    if ('deleted' in change) entries.delete(change.key);
    else entries.set(change.key, change);
  }
  return { revision, entries };
}

export class Roster {
  /** Those of the newest epoch whose members are known here; `undefined` before there is one. */
  current: Members | undefined;
  /** Revision of the agreement's key, 0 while there is none: what the next one is compared with. */
  agreedRevision = 0;
  #agreed: Agreed | undefined;
  #now: View = { revision: 0, entries: new Map() };
  /** The oldest view from which a later one can be told, and the changes since. */
  #base: View = this.#now;
  #since: Step[] = [];

  apply({ kind, revision, changes }: WatchEvent): void {
    if (kind === 'snapshot') {
      this.#now = applied({ revision, entries: new Map() }, revision, changes);
      this.#base = this.#now;
      this.#since = [];
      this.agreedRevision = 0;
      this.#agreed = undefined;
    } else if (changes.some(({ key }) => key.startsWith(MEMBER_PREFIX))) {
      this.#now = applied(this.#now, revision, changes);
      this.#since.push({ revision, changes });
    }
    const agreement = changes.find(({ key }) => key === AGREED_KEY);
    if (agreement) this.#agree('deleted' in agreement ? undefined : agreement);
  }

  #agree(entry: KeyValue | undefined): void {
    this.agreedRevision = entry?.modifyRevision ?? 0;
    this.#agreed = entry && parseAgreed(entry.value);
    if (!this.#agreed) return;
    const { epoch, digest } = this.#agreed;
    if (epoch >= this.#base.revision) {
      while (this.#since[0] && this.#since[0].revision <= epoch) {
        const { revision, changes } = this.#since.shift() as Step;
        this.#base = applied(this.#base, revision, changes);
      }
    } else if (digestOf(this.#base) !== digest) {
      // It was agreed on before what is known here: the next one will be known.
      return;
    }
    if (epoch !== this.current?.epoch) this.current = { epoch, members: membersOf(this.#base) };
  }

  /** Whether there are changes that no epoch has yet. Nothing is known before the first snapshot. */
  get isBehind(): boolean {
    return this.#now.revision > 0 && digestOf(this.#now) !== this.#agreed?.digest;
  }

  /** Names of those who are there now, in order. */
  get present(): readonly string[] {
    return [...this.#now.entries.keys()].map((key) => key.slice(MEMBER_PREFIX.length)).sort(compareKeys);
  }

  /** The agreement that would make what is there now an epoch. */
  next(): { readonly key: string; readonly value: Uint8Array } {
    const agreed: Agreed = { epoch: this.#now.revision, digest: digestOf(this.#now) };
    return { key: AGREED_KEY, value: encoder.encode(JSON.stringify(agreed)) };
  }
}

function parseJson(value: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const parsed = JSON.parse(decoder.decode(value)) as unknown;
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function parseAgreed(value: Uint8Array): Agreed | undefined {
  const { epoch, digest } = parseJson(value) ?? {};
  if (typeof epoch !== 'number' || !Number.isSafeInteger(epoch) || typeof digest !== 'string') return undefined;
  return { epoch, digest };
}

function membersOf({ entries }: View): readonly Member[] {
  const members = [...entries.values()].flatMap(({ key, value }) => {
    const published = parsePublished(value);
    return published && memberKey(published.member.node) === key ? [published.member] : [];
  });
  return members.sort((a, b) => compareKeys(a.node, b.node));
}

export interface Published {
  readonly member: Member;
  /** What only one daemon at a time can have. */
  readonly instance: string | undefined;
}

/** What a member's key holds. Its address is text, so that people can read it. */
export function formatPublished({ member, instance }: Published): Uint8Array {
  const { address, ...rest } = member;
  return encoder.encode(JSON.stringify({ ...rest, address: formatAddress(address), instance }));
}

/** `undefined` for what no version of ours has written. Fields of later versions are left out. */
export function parsePublished(value: Uint8Array): Published | undefined {
  const { node, session, zone, capacityBytes, address: shown, protocol, instance } = parseJson(value) ?? {};
  if (typeof node !== 'string' || typeof session !== 'string' || typeof zone !== 'string') return undefined;
  if (typeof capacityBytes !== 'number' || !(capacityBytes >= 0 && Number.isFinite(capacityBytes))) return undefined;
  if (typeof protocol !== 'number' || !Number.isSafeInteger(protocol) || typeof shown !== 'string') return undefined;
  const address = parseAddress(shown);
  if (!address) return undefined;
  const member = { node, session, zone, capacityBytes, address, protocol };
  return { member, instance: typeof instance === 'string' ? instance : undefined };
}

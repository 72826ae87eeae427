/** Commands about keys: whether they are there, for how long, which there are. */
import { kvLeaseMs } from '../../core/kv-limits.ts';
import { listKeysMax } from '../../core/limits.ts';
import { type Call, type Command, textOf } from './command.ts';
import { literalPrefix, matches } from './glob.ts';
import { array, bulk, integer, Refusal, simple, syntaxError } from './reply.ts';
import { invalidExpire, parseInteger } from './set-options.ts';

/** Each that is there is leased: a GET that follows within the lease finds it (S-10). */
const exists: Command = {
  name: 'exists',
  arity: -2,
  right: 'read',
  keys: [1, -1, 1],
  async run(call) {
    const keys = call.args.slice(1) as string[];
    let count = 0;
    for (let at = 0; at < keys.length; at++) {
      const rest = at === 0 ? keys : keys.slice(at);
      const { leading } = await call.volume.lookup(rest, { signal: call.signal });
      count += leading;
      at += leading;
    }
    call.answer.reply(integer(count));
  },
};

/** How many keys from the first on are there, leased, and for how many milliseconds. */
const lookup: Command = {
  name: 'forebay.lookup',
  arity: -2,
  right: 'read',
  keys: [1, -1, 1],
  async run(call) {
    const { leading } = await call.volume.lookup(call.args.slice(1) as string[], {
      leaseMs: kvLeaseMs,
      signal: call.signal,
    });
    call.answer.reply(array([integer(leading), integer(leading > 0 ? kvLeaseMs : 0)]));
  },
};

/** DEL and UNLINK. */
const deleting = (name: string): Command => ({
  name,
  arity: -2,
  right: 'write',
  keys: [1, -1, 1],
  async run(call) {
    call.answer.reply(integer(await call.volume.delete(call.args.slice(1) as string[], call.signal)));
  },
});

/** TTL and PTTL: -2 without the key, -1 where it has no end. */
const remaining = (name: string, unitMs: number): Command => ({
  name,
  arity: 2,
  right: 'read',
  keys: [1, 1, 1],
  async run(call) {
    const fact = await call.volume.stat(textOf(call, 1), call.signal);
    const left = fact?.remainingMs;
    if (left === undefined) call.answer.reply(integer(-2));
    else call.answer.reply(integer(left === Number.POSITIVE_INFINITY ? -1 : Math.round(Math.max(0, left) / unitMs)));
  },
});

/** EXPIRE, PEXPIRE, EXPIREAT and PEXPIREAT. A time that is over deletes. */
const expiring = (name: string, unitMs: number, isPoint: boolean): Command => ({
  name,
  arity: -3,
  right: 'write',
  keys: [1, 1, 1],
  async run(call) {
    const { volume, signal } = call;
    const key = textOf(call, 1);
    const given = parseInteger(textOf(call, 2)) * BigInt(unitMs);
    if (given > 2n ** 63n - 1n || given < -(2n ** 63n)) throw invalidExpire(name);
    const condition = expireCondition(call.args.slice(3) as string[]);
    const ttlMs = Number(given) - (isPoint ? call.session.parts.clock.wallMs() : 0);
    if (condition !== undefined) {
      const fact = await volume.stat(key, signal);
      if (fact === undefined || !condition(fact.remainingMs, ttlMs)) return call.answer.reply(integer(0));
    }
    call.answer.reply(integer((await volume.expire(key, ttlMs, signal)) ? 1 : 0));
  },
});

type Condition = (remainingMs: number, ttlMs: number) => boolean;

/** NX, XX, GT and LT of EXPIRE. */
function expireCondition(words: readonly string[]): Condition | undefined {
  const given = new Set<string>();
  for (const word of words) {
    const name = word.toUpperCase();
    if (!['NX', 'XX', 'GT', 'LT'].includes(name)) throw new Refusal(`ERR Unsupported option ${word}`);
    given.add(name);
  }
  if (given.has('NX') && given.size > 1)
    throw new Refusal('ERR NX and XX, GT or LT options at the same time are not compatible');
  if (given.has('GT') && given.has('LT'))
    throw new Refusal('ERR GT and LT options at the same time are not compatible');
  if (given.size === 0) return undefined;
  return (remainingMs, ttlMs) =>
    (!given.has('NX') || remainingMs === Number.POSITIVE_INFINITY) &&
    (!given.has('XX') || remainingMs !== Number.POSITIVE_INFINITY) &&
    (!given.has('GT') || ttlMs > remainingMs) &&
    (!given.has('LT') || ttlMs < remainingMs);
}

const persist: Command = {
  name: 'persist',
  arity: 2,
  right: 'write',
  keys: [1, 1, 1],
  async run(call) {
    const { volume, signal } = call;
    const key = textOf(call, 1);
    const fact = await volume.stat(key, signal);
    const hadEnd = fact !== undefined && fact.remainingMs !== Number.POSITIVE_INFINITY;
    call.answer.reply(integer(hadEnd && (await volume.expire(key, Number.POSITIVE_INFINITY, signal)) ? 1 : 0));
  },
};

const type: Command = {
  name: 'type',
  arity: 2,
  right: 'read',
  keys: [1, 1, 1],
  async run(call) {
    const fact = await call.volume.stat(textOf(call, 1), call.signal);
    call.answer.reply(simple(fact === undefined ? 'none' : 'string'));
  },
};

const dbsize: Command = {
  name: 'dbsize',
  arity: 1,
  right: 'read',
  async run(call) {
    call.answer.reply(integer(await call.volume.count(call.signal)));
  },
};

/** Keys in byte order; a key that is there from the first page to the last is seen once. */
const scan: Command = {
  name: 'scan',
  arity: -2,
  right: 'read',
  async run(call) {
    const { volume, session } = call;
    const { scans } = session.parts;
    const text = textOf(call, 1);
    if (!/^\d{1,20}$/.test(text)) throw new Refusal('ERR invalid cursor');
    const { match, count, isOther } = scanOptions(call);
    const after = text === '0' ? undefined : scans.find(volume.name, Number(text));
    if (text !== '0' && after === undefined) throw new Refusal('ERR invalid cursor: begin again with 0');
    const page = await volume.list(
      { prefix: match === undefined ? '' : literalPrefix(match), limit: count, ...(after !== undefined && { after }) },
      call.signal,
    );
    const keys = page.keys
      .map(({ key }) => key)
      .filter((key) => !isOther && (match === undefined || matches(match, key)));
    const next = page.next === undefined ? 0 : scans.add(volume.name, page.next);
    call.answer.reply(array([bulk(String(next)), array(keys.map(bulk))]));
  },
};

/** MATCH, COUNT and TYPE; `isOther`: of a type that no value has. */
function scanOptions(call: Call): { match: string | undefined; count: number; isOther: boolean } {
  let match: string | undefined;
  let count = 10;
  let isOther = false;
  for (let index = 2; index < call.args.length; index += 2) {
    const word = textOf(call, index).toUpperCase();
    const value = call.args[index + 1] as string | undefined;
    if (value === undefined) throw syntaxError();
    if (word === 'MATCH') match = value;
    else if (word === 'TYPE') isOther = value.toLowerCase() !== 'string';
    else if (word === 'COUNT') {
      const given = parseInteger(value);
      if (given < 1n) throw syntaxError();
      count = given > BigInt(listKeysMax) ? listKeysMax : Number(given);
    } else throw syntaxError();
  }
  return { match, count, isOther };
}

export const KEY_COMMANDS: readonly Command[] = [
  exists,
  lookup,
  deleting('del'),
  deleting('unlink'),
  remaining('ttl', 1000),
  remaining('pttl', 1),
  expiring('expire', 1000, false),
  expiring('pexpire', 1, false),
  expiring('expireat', 1000, true),
  expiring('pexpireat', 1, true),
  persist,
  type,
  dbsize,
  scan,
];

/** GET, SET and their kin: values. */
import type { OpenValue } from '../../kv/kv.ts';
import { bytesOf, type Call, type Command, checkKey, textOf } from './command.ts';
import { type IncomingValue, WholeValue } from './incoming-value.ts';
import { arrayHead, integer, nil, OK, Refusal } from './reply.ts';
import { NOT_COLLECTED } from './request-parser.ts';
import { sendValue } from './send-value.ts';
import { parseSetOptions, parseTtl, type SetOptions } from './set-options.ts';

const get: Command = {
  name: 'get',
  arity: 2,
  right: 'read',
  keys: [1, 1, 1],
  run(call) {
    const key = textOf(call, 1);
    const value = call.answer.hasTurn ? call.volume.openHot(key) : undefined;
    if (value?.hot === undefined) return openAndSend(call, key, value);
    call.answer.bulk(value.hot);
    value.close();
  },
};

async function openAndSend(call: Call, key: string, opened: OpenValue | undefined): Promise<void> {
  await sendValue(call, opened ?? (await call.volume.open(key, call.signal)));
}

const mget: Command = {
  name: 'mget',
  arity: -2,
  right: 'read',
  keys: [1, -1, 1],
  async run(call) {
    const keys = call.args.slice(1) as string[];
    await call.answer.turn();
    call.answer.reply(arrayHead(keys.length));
    for await (const value of call.volume.getMany(keys, call.signal)) await sendValue(call, value);
  },
};

const set: Command = {
  name: 'set',
  arity: -3,
  right: 'write',
  keys: [1, 1, 1],
  isValue: (index) => index === 2,
  onBody: (call, body) => beginPut(call, body, textOf(call, 1), { mustBeAbsent: () => call.mustBeAbsent }),
  run(call) {
    if (call.body === undefined && call.args.length === 3) return putPlain(call);
    return setWith(call);
  },
};

/** `SET key value`: what nearly every client sends. */
async function putPlain(call: Call): Promise<void> {
  await call.volume.put(textOf(call, 1), new WholeValue(bytesOf(call, 2)), { signal: call.signal });
  call.answer.reply(OK);
}

async function setWith(call: Call): Promise<void> {
  const { volume, signal, answer, session } = call;
  const key = textOf(call, 1);
  let options: SetOptions;
  try {
    options = parseSetOptions(call.args.slice(3) as string[], session.parts.clock.wallMs());
    // An old value is somebody's data, too.
    if (options.get && !session.may('read', volume)) throw new Refusal(NO_READ, 403);
  } catch (error) {
    abandon(call, error as Error);
    throw error;
  }
  const old = options.get ? await volume.open(key, signal) : undefined;
  let isShown = false;
  try {
    const isSet = await putWith(call, key, options);
    if (options.get) {
      isShown = true;
      await sendValue(call, old);
      answer.status = 200;
    } else answer.reply(isSet ? OK : nil(answer.resp3));
  } catch (error) {
    abandon(call, error as Error);
    throw error;
  } finally {
    if (!isShown) old?.close();
  }
}

const NO_READ = "NOPERM this user has no permissions to run the 'get' command";

/** False where its condition does not hold. */
async function putWith(call: Call, key: string, options: SetOptions): Promise<boolean> {
  const { volume, signal } = call;
  const { condition, keepTtl } = options;
  const isArriving = call.put !== undefined;
  const found = condition === 'XX' || keepTtl ? await volume.stat(key, signal) : undefined;
  if (condition === 'XX' && found === undefined) {
    abandon(call, new Refusal('ERR the condition of SET does not hold'));
    return false;
  }
  const ttlMs = keepTtl && found !== undefined ? found.remainingMs : options.ttlMs;
  if (isArriving) {
    // It was begun before NX was read.
    call.mustBeAbsent = condition === 'NX';
    call.body?.allow();
    if ((await call.put) === 'exists') return false;
    if (ttlMs !== undefined) await volume.expire(key, ttlMs, signal);
    return true;
  }
  const outcome = await volume.put(key, new WholeValue(bytesOf(call, 2)), {
    signal,
    ...(ttlMs !== undefined && ttlMs > 0 && { ttlMs }),
    ...(condition === 'NX' && { onlyIfAbsent: true }),
  });
  if (outcome === 'exists') return false;
  if (ttlMs !== undefined && ttlMs <= 0) await volume.delete([key], signal);
  return true;
}

/** Begins to put a value that arrives; nothing of it is seen before `allow`. */
async function beginPut(
  call: Call,
  body: IncomingValue,
  key: string,
  options: { ttlMs?: number; onlyIfAbsent?: boolean; mustBeAbsent?: () => boolean },
): Promise<void> {
  const put = call.volume.put(key, body, { ...options, signal: call.signal });
  call.put = put;
  // It may be over before its bytes are: refused, equal to what is there, or failed.
  put.then(
    () => body.discard(),
    () => body.discard(),
  );
}

function abandon(call: Call, error: Error): void {
  call.body?.fail(error);
}

/** Puts what was collected, or lets what arrived be kept; what `onlyIfAbsent` says decides. */
async function finishPut(call: Call, index: number, options: { ttlMs?: number; onlyIfAbsent?: boolean }) {
  call.body?.allow();
  if (call.put !== undefined) return call.put;
  return call.volume.put(textOf(call, 1), new WholeValue(bytesOf(call, index)), { ...options, signal: call.signal });
}

const setnx: Command = {
  name: 'setnx',
  arity: 3,
  right: 'write',
  keys: [1, 1, 1],
  isValue: (index) => index === 2,
  onBody: (call, body) => beginPut(call, body, textOf(call, 1), { onlyIfAbsent: true }),
  async run(call) {
    const outcome = await finishPut(call, 2, { onlyIfAbsent: true });
    call.answer.reply(integer(outcome === 'exists' ? 0 : 1));
  },
};

/** SETEX and PSETEX. */
const expiring = (name: string, unitMs: number): Command => ({
  name,
  arity: 4,
  right: 'write',
  keys: [1, 1, 1],
  isValue: (index) => index === 3,
  onBody: async (call, body) =>
    beginPut(call, body, textOf(call, 1), { ttlMs: parseTtl(textOf(call, 2), unitMs, name) }),
  async run(call) {
    await finishPut(call, 3, { ttlMs: parseTtl(textOf(call, 2), unitMs, name) });
    call.answer.reply(OK);
  },
});

/** One value after another, as they come; when one fails, those before it are there. */
const mset: Command = {
  name: 'mset',
  arity: -3,
  right: 'write',
  keys: [1, -1, 2],
  isValue: (index) => index % 2 === 0 && index > 0,
  async onBody(call, body) {
    await putCollected(call, call.args.length - 1);
    // A pair whose value was put or is on its way is not put again.
    const key = textOf(call, call.args.length - 1);
    checkKey(key);
    await beginPut(call, body, key, {});
    body.allow();
  },
  async run(call) {
    if (call.args.length % 2 === 0) throw new Refusal("ERR wrong number of arguments for 'mset' command");
    await putCollected(call, call.args.length);
    call.answer.reply(OK);
  },
};

/** Puts the pairs before `end` that were not put, and waits for the one that arrived. */
async function putCollected(call: Call, end: number): Promise<void> {
  await call.put;
  const args = call.args as (string | Buffer | undefined)[];
  for (let index = 1; index + 1 < end; index += 2) {
    const value = args[index + 1];
    if (value === undefined || value === NOT_COLLECTED) continue;
    args[index + 1] = NOT_COLLECTED;
    checkKey(args[index] as string);
    await call.volume.put(args[index] as string, new WholeValue(value as Buffer), { signal: call.signal });
  }
}

const strlen: Command = {
  name: 'strlen',
  arity: 2,
  right: 'read',
  keys: [1, 1, 1],
  async run(call) {
    const fact = await call.volume.stat(textOf(call, 1), call.signal);
    call.answer.reply(integer(fact?.sizeBytes ?? 0));
  },
};

export const VALUE_COMMANDS: readonly Command[] = [
  get,
  mget,
  set,
  setnx,
  expiring('setex', 1000),
  expiring('psetex', 1),
  mset,
  strlen,
];

/** The table of commands, and what must hold before one is run. */
import { type Command, checkKey, keysOf, type Shape } from './command.ts';
import { CONNECTION_COMMANDS } from './connection-commands.ts';
import { KEY_COMMANDS } from './key-commands.ts';
import { Refusal } from './reply.ts';
import type { Argument } from './request-parser.ts';
import { commandCommand, SERVER_COMMANDS } from './server-commands.ts';
import type { Session } from './session.ts';
import { VALUE_COMMANDS } from './value-commands.ts';

const COMMANDS: readonly Command[] = [
  ...VALUE_COMMANDS,
  ...KEY_COMMANDS,
  ...CONNECTION_COMMANDS,
  ...SERVER_COMMANDS,
  commandCommand(() => COMMANDS),
];

/** By name as clients mostly write it: lower and upper case. */
const BY_NAME = new Map(
  COMMANDS.flatMap((command) => [
    [command.name, command],
    [command.name.toUpperCase(), command],
  ]),
);

export function findCommand(name: Argument): Command | undefined {
  if (typeof name !== 'string') return undefined;
  return BY_NAME.get(name) ?? (name.length > 32 ? undefined : BY_NAME.get(name.toLowerCase()));
}

/** Commands of Redis that people may look for here, and what to do instead. */
const INSTEAD: Readonly<Record<string, string>> = {
  multi: 'transactions are not served: values are put and read one by one, each whole',
  exec: 'transactions are not served',
  discard: 'transactions are not served',
  watch: 'transactions are not served: use SET key value NX',
  subscribe: 'publish and subscribe are not served',
  psubscribe: 'publish and subscribe are not served',
  publish: 'publish and subscribe are not served',
  eval: 'scripts are not served',
  evalsha: 'scripts are not served',
  keys: 'use SCAN',
  append: 'values are immutable: SET them whole',
  setrange: 'values are immutable: SET them whole',
  getrange: 'use the HTTP or the S3 door for ranges of a value',
  incr: 'values are immutable: SET them whole',
  flushdb: 'use DEL, or remove the volume',
  flushall: 'use DEL, or remove the volumes',
  cluster: 'this is no Redis Cluster: each node serves all keys',
};

/**
 * Throws Refusal where the command may not be run: unknown, wrong number of arguments, not logged in, no right to the volume, keys that
 * are none. In Redis's order and words where it has some.
 */
export function checkCommand(
  session: Session,
  args: readonly Argument[],
  command: Command | undefined,
  { count, tooLong }: Shape,
): void {
  if (command === undefined) throw unknownCommand(args);
  const { arity, name, right } = command;
  if (arity < 0 ? count < -arity : count !== arity)
    throw new Refusal(`ERR wrong number of arguments for '${name}' command`);
  if (session.key === undefined && command.open !== true) throw new Refusal('NOAUTH Authentication required.', 401);
  if (tooLong) throw new Refusal('ERR an argument is too long: keys have at most 1,024 bytes, other words 64 KiB');
  if (right === 'none') return;
  const { volume } = session;
  if (volume === undefined)
    throw new Refusal(
      `ERR no kv volume has the number ${session.number}: SELECT another (respDb in the configuration)`,
      404,
    );
  if (!session.may(right, volume))
    throw new Refusal(`NOPERM this user has no permissions to run the '${name}' command`, 403);
  if (right === 'write' && !session.parts.isWritable(volume.name))
    throw new Refusal('READONLY the volume is read-only (write = false in the configuration)', 403);
  checkKeys(command, args);
}

function checkKeys(command: Command, args: readonly Argument[]): void {
  if (command.keys === undefined) return;
  const [first, last] = command.keys;
  if (first === last) checkKey(args[first] as Argument);
  else for (const key of keysOf(command, args)) checkKey(key);
}

function unknownCommand(args: readonly Argument[]): Refusal {
  const name = String(args[0]).slice(0, 128);
  const instead = Object.hasOwn(INSTEAD, name.toLowerCase()) ? INSTEAD[name.toLowerCase()] : undefined;
  if (instead !== undefined) return new Refusal(`ERR '${name}' is not a command of Forebay: ${instead}`, 501);
  let shown = '';
  for (let index = 1; index < args.length && shown.length < 128; index++)
    shown += `'${String(args[index]).slice(0, 128 - shown.length)}' `;
  return new Refusal(`ERR unknown command '${name}', with args beginning with: ${shown}`, 501);
}

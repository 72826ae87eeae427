/** Commands about the connection itself: who speaks, in which protocol, about which volume. */
import { type Call, type Command, textOf } from './command.ts';
import { bulk, integer, map, nil, notInteger, OK, Refusal, simple } from './reply.ts';
import type { Session } from './session.ts';
import { keyOf } from './session.ts';
import { parseInteger } from './set-options.ts';
import { subcommandOf, unknownSubcommand } from './subcommand.ts';

/** The version of Redis whose answers these are; clients choose by it what they send. */
export const REDIS_VERSION = '7.0.15';

const auth: Command = {
  name: 'auth',
  arity: -2,
  right: 'none',
  open: true,
  run(call) {
    if (call.args.length > 3) throw new Refusal('ERR syntax error');
    const isNamed = call.args.length === 3;
    if (!isNamed && call.session.parts.credentials.anonymous !== undefined)
      throw new Refusal(
        'ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?',
      );
    logIn(call.session, isNamed ? textOf(call, 1) : 'default', textOf(call, isNamed ? 2 : 1));
    call.answer.reply(OK);
  },
};

/** Throws WRONGPASS; whoever the client was before, it stays. */
function logIn(session: Session, id: string, secret: string): void {
  const { credentials, emit } = session.parts;
  const key = keyOf(credentials, id, secret);
  if (key === undefined) {
    emit({ kind: 'door.refused', door: 'resp', reason: 'wrongPassword' });
    throw new Refusal('WRONGPASS invalid username-password pair or user is disabled.', 403);
  }
  session.key = key;
}

const NO_AUTH_HELLO =
  'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time';

const hello: Command = {
  name: 'hello',
  arity: -1,
  right: 'none',
  open: true,
  run(call) {
    const { session } = call;
    const version = call.args.length > 1 ? helloVersion(textOf(call, 1)) : undefined;
    let name: string | undefined;
    let user: { id: string; secret: string } | undefined;
    for (let index = 2; index < call.args.length; index++) {
      const word = textOf(call, index);
      const left = call.args.length - index - 1;
      if (/^auth$/i.test(word) && left >= 2) user = { id: textOf(call, ++index), secret: textOf(call, ++index) };
      else if (/^setname$/i.test(word) && left >= 1) name = clientName(textOf(call, ++index));
      else throw new Refusal(`ERR Syntax error in HELLO option '${word}'`);
    }
    if (user !== undefined) logIn(session, user.id, user.secret);
    if (session.key === undefined) throw new Refusal(NO_AUTH_HELLO, 401);
    if (name !== undefined) session.name = name;
    if (version !== undefined) session.resp3 = version === 3;
    call.answer.reply(greeting(session));
  },
};

function helloVersion(text: string): number {
  if (!/^-?\d{1,18}$/.test(text)) throw new Refusal('ERR Protocol version is not an integer or out of range');
  const version = Number(text);
  if (version !== 2 && version !== 3) throw new Refusal('NOPROTO unsupported protocol version');
  return version;
}

function greeting(session: Session): string {
  const { resp3 } = session;
  const facts: readonly (readonly [string, string])[] = [
    ['server', bulk('redis')],
    ['version', bulk(REDIS_VERSION)],
    ['proto', integer(resp3 ? 3 : 2)],
    ['id', integer(session.id)],
    ['mode', bulk('standalone')],
    ['role', bulk('master')],
    ['modules', '*0\r\n'],
  ];
  return map(
    facts.flatMap(([name, value]) => [bulk(name), value]),
    resp3,
  );
}

const ping: Command = {
  name: 'ping',
  arity: -1,
  right: 'none',
  run(call) {
    if (call.args.length > 2) throw new Refusal("ERR wrong number of arguments for 'ping' command");
    call.answer.reply(call.args.length === 2 ? bulk(textOf(call, 1)) : simple('PONG'));
  },
};

const echo: Command = {
  name: 'echo',
  arity: 2,
  right: 'none',
  run: (call) => call.answer.reply(bulk(textOf(call, 1))),
};

const quit: Command = {
  name: 'quit',
  arity: -1,
  right: 'none',
  open: true,
  run(call) {
    call.answer.reply(OK);
    call.answer.closes = true;
  },
};

const reset: Command = {
  name: 'reset',
  arity: 1,
  right: 'none',
  open: true,
  run(call) {
    call.session.reset();
    call.answer.reply(simple('RESET'));
  },
};

/** A key learns nothing of volumes that it has no right to, not even that they exist. */
const select: Command = {
  name: 'select',
  arity: 2,
  right: 'none',
  run(call) {
    const { session } = call;
    const number = parseInteger(textOf(call, 1));
    if (number > 2n ** 31n - 1n || number < -(2n ** 31n)) throw notInteger();
    const volume = session.parts.kv.byNumber(Number(number));
    if (volume === undefined || !(session.may('read', volume) || session.may('write', volume)))
      throw new Refusal('ERR DB index is out of range');
    session.number = Number(number);
    call.answer.reply(OK);
  },
};

const client: Command = {
  name: 'client',
  arity: -2,
  right: 'none',
  run(call) {
    const { session, answer } = call;
    switch (subcommandOf(call, { setname: 3, getname: 2, setinfo: 4, id: 2, info: 2, 'no-evict': 3, 'no-touch': 3 })) {
      case 'setname':
        session.name = clientName(textOf(call, 2));
        return answer.reply(OK);
      case 'getname':
        return answer.reply(session.name === '' ? nil(answer.resp3) : bulk(session.name));
      case 'setinfo':
        setInfo(session, textOf(call, 2), textOf(call, 3));
        return answer.reply(OK);
      case 'id':
        return answer.reply(integer(session.id));
      case 'info':
        return answer.reply(bulk(`${clientLine(call)}\n`));
      case 'no-evict':
      case 'no-touch':
        if (!/^(on|off)$/i.test(textOf(call, 2))) throw new Refusal('ERR syntax error');
        return answer.reply(OK);
      default:
        throw unknownSubcommand(call);
    }
  },
};

function clientName(text: string): string {
  if (/[^!-~]/.test(text)) throw new Refusal('ERR Client names cannot contain spaces, newlines or special characters.');
  return text;
}

function setInfo(session: Session, attribute: string, value: string): void {
  const name = attribute.toLowerCase();
  if (name !== 'lib-name' && name !== 'lib-ver') throw new Refusal(`ERR Unrecognized option '${attribute}'`);
  if (/[^!-~]/.test(value)) throw new Refusal(`ERR ${name} cannot contain spaces, newlines or special characters.`);
  if (name === 'lib-name') session.library = value;
  else session.libraryVersion = value;
}

function clientLine({ session, answer }: Call): string {
  const ageS = Math.floor((session.parts.clock.boottimeMs() - session.fromMs) / 1000);
  return [
    `id=${session.id}`,
    `addr=${session.address}`,
    `name=${session.name}`,
    `age=${ageS}`,
    'idle=0',
    'flags=N',
    `db=${session.number}`,
    'sub=0',
    'psub=0',
    'multi=-1',
    'cmd=client|info',
    `user=${session.key?.id ?? '(none)'}`,
    `lib-name=${session.library}`,
    `lib-ver=${session.libraryVersion}`,
    `resp=${answer.resp3 ? 3 : 2}`,
  ].join(' ');
}

export const CONNECTION_COMMANDS: readonly Command[] = [auth, hello, ping, echo, quit, reset, select, client];

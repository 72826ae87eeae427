/** Commands about the node: INFO, CONFIG GET, COMMAND. Enough for clients that look at them before they begin. */
import type { Call, Command } from './command.ts';
import { REDIS_VERSION } from './connection-commands.ts';
import { matches } from './glob.ts';
import { array, bulk, integer, map, nil, set, simple, verbatim } from './reply.ts';
import { subcommandOf, unknownSubcommand } from './subcommand.ts';

const info: Command = {
  name: 'info',
  arity: -1,
  right: 'none',
  run(call) {
    const asked = call.args.slice(1).map((word) => String(word).toLowerCase());
    const isAll = asked.length === 0 || asked.some((word) => ['all', 'default', 'everything'].includes(word));
    const sections = Object.entries(SECTIONS).filter(([name]) => isAll || asked.includes(name));
    const text = sections
      .map(([, write]) =>
        write(call)
          .map((line) => `${line}\r\n`)
          .join(''),
      )
      .join('\r\n');
    call.answer.reply(verbatim(text, call.answer.resp3));
  },
};

const SECTIONS: Readonly<Record<string, (call: Call) => readonly string[]>> = {
  server: ({ session }) => [
    '# Server',
    `redis_version:${REDIS_VERSION}`,
    'redis_mode:standalone',
    `forebay_version:${session.parts.version}`,
  ],
  clients: ({ session }) => ['# Clients', `connected_clients:${session.parts.connections()}`],
  replication: () => ['# Replication', 'role:master', 'connected_slaves:0'],
  keyspace(call) {
    const { kv } = call.session.parts;
    const lines = ['# Keyspace'];
    for (const volume of kv.volumes.values()) {
      const number = call.session.parts.numberOf(volume.name);
      if (number === undefined || !call.session.may('read', volume)) continue;
      const { values, bytes } = volume.status;
      if (values > 0)
        lines.push(`db${number}:keys=${values},expires=0,avg_ttl=0`, `forebay_db${number}_bytes:${bytes}`);
    }
    return lines;
  },
};

const config: Command = {
  name: 'config',
  arity: -2,
  right: 'none',
  run(call) {
    const { answer } = call;
    if (subcommandOf(call, { get: -3 }) === undefined) throw unknownSubcommand(call);
    const patterns = call.args.slice(2).map((pattern) => String(pattern).toLowerCase());
    const found = Object.entries(SETTINGS).filter(([name]) => patterns.some((pattern) => matches(pattern, name)));
    answer.reply(
      map(
        found.flatMap(([name, value]) => [bulk(name), bulk(value)]),
        answer.resp3,
      ),
    );
  },
};

/** What is so here, in the names of Redis's settings. */
const SETTINGS: Readonly<Record<string, string>> = {
  appendonly: 'no',
  maxmemory: '0',
  'proto-max-bulk-len': String(512 * 1024 * 1024),
  save: '',
  timeout: '0',
};

/** COMMAND over the table of `commands`. */
export function commandCommand(commands: () => readonly Command[]): Command {
  return {
    name: 'command',
    arity: -1,
    right: 'none',
    run(call) {
      const { answer } = call;
      const { resp3 } = answer;
      const all = commands();
      const named = (names: readonly (string | Buffer)[]) =>
        names.map((name) => all.find((command) => command.name === String(name).toLowerCase()));
      if (call.args.length === 1) return answer.reply(array(all.map((command) => describe(command, resp3))));
      const wanted = call.args.slice(2);
      switch (subcommandOf(call, { count: 2, info: -2, list: 2, docs: -2 })) {
        case 'count':
          return answer.reply(integer(all.length));
        case 'info': {
          const found = wanted.length === 0 ? all : named(wanted);
          const none = nil(resp3);
          return answer.reply(array(found.map((command) => (command ? describe(command, resp3) : none))));
        }
        case 'list':
          return answer.reply(
            set(
              all.map(({ name }) => bulk(name)),
              resp3,
            ),
          );
        case 'docs': {
          const found = wanted.length === 0 ? all : named(wanted).filter((command) => command !== undefined);
          return answer.reply(
            map(
              found.flatMap((command) => [bulk(command.name), docsOf(command, resp3)]),
              resp3,
            ),
          );
        }
        default:
          throw unknownSubcommand(call);
      }
    },
  };
}

function describe({ name, arity, right, keys, open }: Command, resp3: boolean): string {
  const flags = [right === 'write' ? 'write' : right === 'read' ? 'readonly' : 'fast', ...(open ? ['no_auth'] : [])];
  const [first, last, step] = keys ?? [0, 0, 0];
  return array([
    bulk(name),
    integer(arity),
    set(flags.map(simple), resp3),
    integer(first),
    integer(last),
    integer(step),
    set([], resp3),
    set([], resp3),
    set([], resp3),
    set([], resp3),
  ]);
}

function docsOf({ name }: Command, resp3: boolean): string {
  const group = name.startsWith('forebay.') ? 'module' : 'string';
  return map(
    [bulk('summary'), bulk(`See docs/resp.md of Forebay: ${name.toUpperCase()}`), bulk('group'), bulk(group)],
    resp3,
  );
}

export const SERVER_COMMANDS: readonly Command[] = [info, config];

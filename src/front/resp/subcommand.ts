/** Commands in two words. */
import { type Call, textOf } from './command.ts';
import { Refusal } from './reply.ts';

/** The second word in lower case, where it is one of `arities` (which count as `Command.arity` does); else undefined. */
export function subcommandOf(call: Call, arities: Readonly<Record<string, number>>): string | undefined {
  const name = textOf(call, 1).toLowerCase();
  const arity = Object.hasOwn(arities, name) ? (arities[name] as number) : undefined;
  if (arity === undefined) return undefined;
  if (arity < 0 ? call.args.length < -arity : call.args.length !== arity)
    throw new Refusal(`ERR wrong number of arguments for '${call.command.name}|${name}' command`);
  return name;
}

export function unknownSubcommand(call: Call): Refusal {
  return new Refusal(
    `ERR unknown subcommand '${textOf(call, 1).slice(0, 128)}'. Try ${call.command.name.toUpperCase()} HELP.`,
  );
}

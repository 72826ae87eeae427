/**
 * The command line (DESIGN.md section 11). Each command's code is loaded when it runs, so that a daemon carries only
 * what it needs. Exit: 0 done, 1 failed, 2 wrong use.
 */
import { Command, CommanderError } from 'commander';
import { VERSION } from '../core/version.ts';
import { DONE, failureOf, WRONG_USE, wrongUse } from './failure.ts';
import { Output } from './output.ts';
import type { ClientOptions, CommonOptions } from './session.ts';

/** Commands that live outside of `src`. */
const OUTSIDE = ['bench', 'demo', 'evaluate', 'sim', 'simulate', 'plan', 'room'] as const;
type OutsideName = (typeof OUTSIDE)[number];

type OutsideMain = (argv: readonly string[]) => unknown;
export type Outside = Readonly<Record<OutsideName, () => Promise<OutsideMain>>>;

/** A command's work; resolves with its exit code. */
type Run<O> = (operands: readonly string[], options: O, output: Output) => Promise<number>;

/** Runs one command line and resolves with its exit code, when everything it started has ended. */
export async function main(argv: readonly string[], outside: Outside): Promise<number> {
  let exitCode = DONE;
  const program = new Command('forebay')
    .description('One distributed cache between GPUs and object storage.')
    .enablePositionalOptions()
    .exitOverride()
    .version(VERSION, '--version');

  const add = <O extends CommonOptions>(usage: string, description: string, load: () => Promise<Run<O>>): Command =>
    program
      .command(usage)
      .description(description)
      .option('--json', 'print JSON')
      .action(async (...given: unknown[]) => {
        const command = given.at(-1) as Command;
        const options = command.opts<O>();
        const output = new Output({ json: options.json ?? false });
        try {
          exitCode = await (await load())(command.args, options, output);
        } catch (error) {
          const failure = failureOf(error);
          output.fail(failure);
          exitCode = failure.exitCode;
        }
      });

  addNodeCommands(add);
  addClientCommands(add);
  addOutside(program, outside, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Commander has printed what is wrong, or the help that was asked for.
    return error.exitCode === 0 ? DONE : WRONG_USE;
  }
  return exitCode;
}

type Add = <O extends CommonOptions>(usage: string, description: string, load: () => Promise<Run<O>>) => Command;

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

function withConfig(command: Command): Command {
  return command
    .option('--config <file>', 'configuration (else ./forebay.toml, /etc/forebay/forebay.toml)')
    .option('--set <key=value>', 'override a configuration key; repeatable', collect)
    .option('--volume <name=origin>', 'add a volume, or give it another origin; repeatable', collect);
}

function withClient(command: Command): Command {
  return withConfig(command)
    .option('--admin <host:port>', "the node's admin door (default: the configuration's)")
    .option('--credentials <file>', "the key to use (default: this user's credentials file)");
}

function addNodeCommands(add: Add): void {
  withConfig(add('up', 'run one node', async () => (await import('./up-command.ts')).up));
  withConfig(
    add(
      'dev',
      'run a cluster on this machine, for development: loopback doors that ask for no key',
      async () => (await import('./dev-command.ts')).dev,
    ),
  )
    .option('--nodes <count>', 'nodes to run', '3')
    .option('--dir <dir>', "keep the nodes' state in this directory");
  withConfig(
    add(
      'doctor',
      'check this machine, the configuration and the origins',
      async () => (await import('./doctor-command.ts')).doctor,
    ),
  );
  withConfig(
    add(
      'inspect [directory]',
      'tell what a cache directory holds, without a daemon',
      async () => (await import('./inspect-command.ts')).inspect,
    ),
  ).option('--find <key>', 'also tell of this key or content id');
}

function addClientCommands(add: Add): void {
  const client = (usage: string, description: string, load: () => Promise<Run<ClientOptions>>) =>
    withClient(add(usage, description, load));
  const objects = () => import('./object-commands.ts');
  client('status', 'tell how a node is', async () => (await import('./status-command.ts')).status);
  client(
    'env',
    'print shell exports that point the AWS tools at a node',
    async () => (await import('./env-command.ts')).env,
  );
  client('ls [target]', 'list volumes, or the objects of one', async () => (await objects()).ls)
    .option('-r, --recursive', 'list everything below, without rolling up at "/"')
    .option('--limit <count>', 'stop after this many entries');
  client('warm [targets...]', 'bring objects here whole', async () => (await objects()).warm)
    .option('--to <dir>', 'also lay the objects out as plain read-only files below this directory')
    .option('--nodes <names>', 'bring them to these nodes of the cluster ("a,b"), or to "all" of them')
    .option('--list <file>', 'read targets from a file, one per line ("-": standard input)');
  client('check <targets...>', 'tell what of objects is here', async () => (await objects()).check).option(
    '--verify',
    'read every block that is here and check it',
  );
  client('evict <targets...>', "free objects' space here", async () => (await objects()).evict);
  client('pin <targets...>', 'keep objects here', async () => (await objects()).pin).option(
    '--off',
    'let them be evicted again',
  );
  client(
    'checkpoint <action> [operands...]',
    'commit many objects as one: begin, put, commit, abort, latest, list, rollback, keep',
    async () => (await import('./checkpoint-command.ts')).checkpoint,
  )
    .option('--attempt <token>', 'the token that begin printed')
    .option('--count <count>', 'commit only if it has so many objects')
    .option('--keys <file>', 'commit only if it has the paths in this file, one per line ("-": standard input)');
  const drains = () => import('./drain-commands.ts');
  client('drain [volume]', 'send what waits for an origin at once', async () => (await drains()).drain).option(
    '--wait',
    'until the origins have everything',
  );
  client(
    'conflicts <what> [target]',
    'ls [VOLUME], or resolve VOLUME[/KEY]',
    async () => (await drains()).conflicts,
  ).option('--keep <whose>', 'of a conflict: ours or theirs');
  client('leave', 'end a node that has nothing which only it has', async () => (await drains()).leave).option(
    '--wait',
    'drain or copy what only it has first',
  );
  client(
    'recover <volume>',
    'rebuild the records of a volume when the coordinator lost them',
    async () => (await drains()).recover,
  ).option('--force', 'also where the coordinator seems to have lost nothing');
  add('adopt <directory>', 'take over what a job writes to a directory, as it finishes', async () => {
    return (await import('./adopt-command.ts')).adopt;
  })
    .requiredOption('--volume <name>', 'the volume that takes the files')
    .option('--prefix <prefix>', 'put this in front of their paths', '')
    .option('--delete', 'delete in the volume what is deleted in the directory')
    .option('--once', 'end when what is there has been taken over')
    .option('--config <file>', 'configuration (else ./forebay.toml, /etc/forebay/forebay.toml)')
    .option('--set <key=value>', 'override a configuration key; repeatable', collect)
    .option('--admin <host:port>', "the node's admin door (default: the configuration's)")
    .option('--credentials <file>', "the key to use (default: this user's credentials file)");
  client('explain <target>', 'tell where an object would come from, and why', async () => (await objects()).explain);
}

function addOutside(program: Command, outside: Outside, done: (exitCode: number) => void): void {
  const descriptions: Readonly<Record<OutsideName, string>> = {
    bench: 'measure: local, fan-out-read, fan-out-write, fan-in-read',
    demo: 'show before and after on a real file to a cluster, in about a minute',
    evaluate: 'run any candidates over the three scenarios, and end in one recommendation',
    sim: 'run seeded simulations of the store and its faults',
    simulate:
      'simulate fan-out reads of up to 10,000 nodes, checkpoints of real size and gathers by the shipped policies',
    plan: 'your own seconds and GPU-hours by formula: an async copy beside Forebay',
    room: 'documents, decisions and runs below a directory as one set of pages',
  };
  for (const name of OUTSIDE) {
    program
      .command(name)
      .description(descriptions[name])
      .argument('[arguments...]')
      .helpOption(false)
      .allowUnknownOption()
      .passThroughOptions()
      .action(async (_, __, command: Command) => {
        done(await runOutside(name, outside[name], command.args));
      });
  }
}

async function runOutside(name: string, load: () => Promise<OutsideMain>, argv: readonly string[]): Promise<number> {
  try {
    const run = await load().catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
      throw wrongUse(`\`forebay ${name}\` needs the repository: ${(error as Error).message}`);
    });
    const code = await run(argv);
    return typeof code === 'number' ? code : Number(process.exitCode ?? DONE);
  } catch (error) {
    const failure = failureOf(error);
    new Output({ json: false }).fail(failure);
    return failure.exitCode;
  }
}

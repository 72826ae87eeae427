/**
 * The process's first file: hands over to the command line. Commands that live outside `src` (bench, demo, evaluate, sim, simulate, plan, room) are
 * loaded by name when they are called, so that the daemon never carries them.
 */
import { main } from './cli/cli.ts';

const outside = (path: string, name: string) => async (): Promise<(argv: readonly string[]) => unknown> => {
  const loaded = (await import(path)) as Record<string, (argv: readonly string[]) => unknown>;
  return loaded[name] as (argv: readonly string[]) => unknown;
};

process.exitCode = await main(process.argv.slice(2), {
  bench: outside('../bench/main.ts', 'benchMain'),
  demo: outside('../bench/demo.ts', 'demoMain'),
  evaluate: outside('../bench/evaluate/evaluate.ts', 'evaluateMain'),
  sim: outside('../sim/main.ts', 'simMain'),
  simulate: outside('../bench/simulate/simulate.ts', 'simulateMain'),
  plan: outside('../bench/plan/plan-command.ts', 'planMain'),
  room: outside('../room/main.ts', 'roomMain'),
});

/** `forebay up`: runs a node until it is told to stop. */
import type { Config } from '../node/config.ts';
import type { Daemon } from '../node/daemon.ts';
import { DONE, FAILED, wrongUse } from './failure.ts';
import type { Output } from './output.ts';
import { type CommonOptions, configOf, surroundings } from './session.ts';

export async function up(_: readonly string[], options: CommonOptions, output: Output): Promise<number> {
  const config = await configOf(options);
  if (config.volumes.length === 0)
    throw wrongUse(
      'there is no volume to serve',
      'Write [volumes.NAME] with an origin in forebay.toml, or give one: forebay up --volume models=az://account/container',
    );
  return serve(config, output);
}

/** Runs a node until it is told to stop; ends the process. */
export async function serve(config: Config, output: Output): Promise<number> {
  const [{ startDaemon }, { credentialsPath }, { letHeapGrow }] = await Promise.all([
    import('../node/daemon.ts'),
    import('../node/credentials-file.ts'),
    import('../io/real/heap-growth.ts'),
  ]);
  letHeapGrow();
  const here = surroundings();
  const keyPath = credentialsPath(here);
  const daemon = await startDaemon({
    config,
    environment: here.environment,
    credentialsPath: keyPath,
    logFormat: config.log.format === 'auto' ? (process.stderr.isTTY ? 'text' : 'json') : config.log.format,
  });
  // The daemon goes on when whoever read its first line goes away.
  process.stdout.on('error', () => undefined);
  watchForFaults(daemon);
  const reason = askedToStop();
  if (output.json) output.object({ ready: true, pid: process.pid, doors: daemon.doors });
  else announce(daemon, { output, keyPath, anonymous: config.doors.anonymous });
  await daemon.stop(await reason);
  // A disk that hangs may hold a thread, and with it the process.
  process.exit(DONE);
}

function announce(
  daemon: Daemon,
  { output, keyPath, anonymous }: { output: Output; keyPath: string; anonymous: boolean },
): void {
  output.line(`forebay is ready, pid ${process.pid}`);
  for (const [name, address] of Object.entries(daemon.doors)) output.line(`  ${name.padEnd(6)} http://${address}`);
  if (anonymous) output.line('  keys   none are asked for (anonymous = true)');
  else output.line(`  key    ${keyPath}${daemon.keyCreated ? ' (made just now)' : ''}`);
  output.line('  `eval "$(forebay env)"` points the AWS tools here; Ctrl-C stops');
}

/** The signal that asks for an orderly end; a second one ends at once. A parent that opened a channel and is gone asks too. */
function askedToStop(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let asked = false;
  process.once('disconnect', () => resolve('the parent is gone'));
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (asked) process.exit(FAILED);
      asked = true;
      resolve(signal);
    });
  }
  return promise;
}

/** A bug stops the process, with its details in the log. What was acknowledged survives it. */
function watchForFaults(daemon: Daemon): void {
  process.on('uncaughtException', (error) => {
    daemon.lastWords(`a fault of Forebay, stopping: ${error.stack ?? error.message}`);
    process.exit(FAILED);
  });
}

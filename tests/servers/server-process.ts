/** Starts a server of someone else's making on a free port and waits for the line that says where it listens. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as after } from 'node:timers/promises';

export interface ServerProcess {
  /** Host and port as the server printed them. */
  readonly address: string;
  stop(): Promise<void>;
}

const START_MS = 60_000;
const STOP_MS = 5000;
const OUTPUT_MAX = 64 * 1024;

/** `ready` captures the address in what the server prints. */
export async function startServer(
  command: string,
  args: readonly string[],
  options: { ready: RegExp; env?: NodeJS.ProcessEnv; cwd?: string },
): Promise<ServerProcess> {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    cwd: options.cwd,
  });
  const exited = once(child, 'exit');
  exited.catch(() => undefined);
  let output = '';
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    const late = new AbortController();
    const kill = after(STOP_MS, undefined, { signal: late.signal }).then(
      () => child.kill('SIGKILL'),
      () => undefined,
    );
    await exited;
    late.abort();
    await kill;
  };
  const address = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${command} did not start: ${output}`)), START_MS);
    const settle = (act: () => void) => {
      clearTimeout(timer);
      act();
    };
    const read = (data: Buffer) => {
      if (output.length < OUTPUT_MAX) output += data.toString('utf8');
      const found = options.ready.exec(output)?.[1];
      if (found !== undefined) settle(() => resolve(found));
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.on('error', (error) => settle(() => reject(error)));
    child.on('exit', (code) => settle(() => reject(new Error(`${command} ended with ${code}: ${output}`))));
  }).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return { address, stop };
}

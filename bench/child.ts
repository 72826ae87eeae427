/** Child processes that the bench starts and ends, by their pid and nothing else. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

/** Lines of complaint kept of a child. */
const TAIL_CHARACTERS = 8000;

export class Child {
  readonly process: ChildProcess;
  readonly pid: number;
  #tail = '';

  private constructor(process: ChildProcess) {
    this.process = process;
    this.pid = process.pid as number;
    process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#tail = (this.#tail + text).slice(-TAIL_CHARACTERS);
    });
  }

  /** Rejects when the command cannot be started. Its standard error is kept, its standard output is a pipe. */
  static async start(command: string, args: readonly string[], options: SpawnOptions = {}): Promise<Child> {
    const process = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    await once(process, 'spawn');
    return new Child(process);
  }

  /** The last of what it wrote to standard error. */
  get complaint(): string {
    return this.#tail;
  }

  get hasEnded(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null;
  }

  /** Resolves with the exit code, or the signal's name. */
  async ended(): Promise<number | string> {
    if (!this.hasEnded) await once(this.process, 'exit');
    return this.process.exitCode ?? (this.process.signalCode as string);
  }

  /** Asks it to end and waits; kills it after `patienceMs`. */
  async stop(patienceMs = 10_000): Promise<number | string> {
    if (this.hasEnded) return this.ended();
    const timer = setTimeout(() => this.process.kill('SIGKILL'), patienceMs);
    this.process.kill('SIGTERM');
    const how = await this.ended();
    clearTimeout(timer);
    return how;
  }

  async kill(): Promise<void> {
    if (!this.hasEnded) this.process.kill('SIGKILL');
    await this.ended();
  }
}

/** A port of loopback that nobody listens on, for servers that cannot listen on port 0. Taken by another in between: try again. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

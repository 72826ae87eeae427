/**
 * A node as a child process of this command line: `forebay up --json` in a process group of its own, so that Ctrl-C on
 * a terminal reaches the parent only, which then ends its nodes in order. A channel ties it to the parent: when the
 * parent is killed, the node stops by itself.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { Failure } from './failure.ts';

export interface NodeReady {
  readonly pid: number;
  /** Door → `HOST:PORT` as it listens. */
  readonly doors: Readonly<Record<string, string>>;
}

interface Said {
  readonly ready?: true;
  readonly pid: number;
  readonly doors: Readonly<Record<string, string>>;
  readonly error?: { readonly message?: string; readonly hint?: string };
}

export class NodeChild {
  readonly name: string;
  /** Resolves when the process is gone and its log was read: its exit code, or the signal's name. */
  readonly ended: Promise<number | string>;
  readonly #process: ChildProcess;
  readonly #lines: Interface;
  #hasEnded = false;

  /** `args` follow `up --json`; `onLog` gets each line that the node writes to its log. */
  constructor(name: string, args: readonly string[], onLog: (line: string) => void) {
    this.name = name;
    const command = [...process.execArgv, process.argv[1] as string, 'up', '--json', ...args];
    this.#process = spawn(process.execPath, command, { detached: true, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    // The channel is for noticing that this process is gone, not a reason to stay.
    this.#process.channel?.unref();
    this.#lines = createInterface({ input: this.#process.stdout as NodeJS.ReadableStream });
    createInterface({ input: this.#process.stderr as NodeJS.ReadableStream }).on('line', onLog);
    this.ended = this.#end();
  }

  async #end(): Promise<number | string> {
    try {
      const [code, signal] = (await once(this.#process, 'close')) as [number | null, string | null];
      return code ?? (signal as string);
    } catch (error) {
      throw new Failure(`${this.name} cannot be started: ${(error as Error).message}`, { cause: error });
    } finally {
      this.#hasEnded = true;
    }
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Resolves when it serves. Throws what it says is wrong, with its exit code, when it ends before. */
  async ready(): Promise<NodeReady> {
    const said = await Promise.race([this.#firstLine(), this.ended.then(() => undefined)]);
    if (said?.ready) return { pid: said.pid, doors: said.doors };
    const how = await this.ended;
    throw new Failure(`${this.name}: ${said?.error?.message ?? `ended with ${how} before it served`}`, {
      ...(said?.error?.hint !== undefined && { hint: said.error.hint }),
      ...(typeof how === 'number' && how !== 0 && { exitCode: how }),
    });
  }

  async #firstLine(): Promise<Said | undefined> {
    const [line] = (await Promise.race([once(this.#lines, 'line'), once(this.#lines, 'close')])) as [string?];
    try {
      return line === undefined ? undefined : (JSON.parse(line) as Said);
    } catch {
      return undefined;
    }
  }

  /** Asks it to end in order, or at once. */
  signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    if (!this.#hasEnded) this.#process.kill(signal);
  }
}

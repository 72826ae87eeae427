/** For tests: the command line as a user runs it, in child processes with a home of their own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

const FOREBAY = fileURLToPath(new URL('../../bin/forebay', import.meta.url));

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningNode {
  readonly pid: number;
  readonly doors: Readonly<Record<string, string>>;
  /** The whole line that it printed when it served. */
  readonly ready: Readonly<Record<string, unknown>>;
  readonly process: ChildProcess;
  /** Resolves when the log has something that matches. */
  logged(pattern: RegExp): Promise<void>;
  /** Signals the daemon and waits for its end. */
  stop(signal?: NodeJS.Signals): Promise<Ran>;
}

/** A directory that is home to nodes and their clients, removed at the end with whatever still runs in it. */
export class Home {
  readonly directory: string;
  readonly #running = new Set<ChildProcess>();

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async make(): Promise<Home> {
    return new Home(await mkdtemp(join(tmpdir(), 'forebay-home-')));
  }

  path(...names: readonly string[]): string {
    return join(this.directory, ...names);
  }

  spawn(args: readonly string[]): ChildProcess {
    const { HOME: _, XDG_CONFIG_HOME: __, XDG_CACHE_HOME: ___, ...environment } = process.env;
    const child = spawn(FOREBAY, args, {
      cwd: this.directory,
      env: {
        ...environment,
        HOME: this.directory,
        // Compiled code is shared, so that starts are quick; it holds nothing of a test's.
        NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? join(tmpdir(), 'forebay-test-compile'),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#running.add(child);
    child.on('close', () => this.#running.delete(child));
    return child;
  }

  async run(...args: readonly string[]): Promise<Ran> {
    const child = this.spawn(args);
    const [stdout, stderr, [code]] = await Promise.all([
      text(child.stdout as NodeJS.ReadableStream),
      text(child.stderr as NodeJS.ReadableStream),
      once(child, 'close') as Promise<[number | null]>,
    ]);
    return { code, stdout, stderr };
  }

  /** Starts a node with free ports and waits until it serves. */
  async up(...args: readonly string[]): Promise<RunningNode> {
    const doors = ['s3', 'resp', 'admin'].flatMap((door) => ['--set', `doors.${door}=127.0.0.1:0`]);
    return this.start('up', '--json', ...doors, ...args);
  }

  async start(...args: readonly string[]): Promise<RunningNode> {
    const child = this.spawn(args);
    let stderr = '';
    child.stderr?.setEncoding('utf8').on('data', (piece: string) => {
      stderr += piece;
    });
    const ended = once(child, 'close') as Promise<[number | null]>;
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    let stdout = '';
    lines.on('line', (line) => {
      stdout += `${line}\n`;
    });
    await Promise.race([once(lines, 'line'), ended]);
    if (!stdout.startsWith('{"ready":true')) throw new Error(`the node did not start: ${stdout}${stderr}`);
    const ready = JSON.parse(stdout) as { ready: true; pid: number; doors: Record<string, string> };
    return {
      pid: ready.pid,
      doors: ready.doors,
      ready,
      process: child,
      async logged(pattern) {
        while (!pattern.test(stderr)) await once(child.stderr as NodeJS.ReadableStream, 'data');
      },
      async stop(signal = 'SIGTERM') {
        child.kill(signal);
        const [code] = await ended;
        return { code, stdout, stderr };
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = [...this.#running].map((child) => once(child, 'close'));
    for (const child of this.#running) child.kill('SIGKILL');
    await Promise.all(ended);
    await rm(this.directory, { recursive: true, force: true });
  }
}

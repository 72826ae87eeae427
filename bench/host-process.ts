/**
 * A process of ours on a host of the bench, that is told what to do by messages and tells its results and its progress. It ends
 * with the bench.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { LinkedHost } from './links/links.ts';

/** `note`: progress; a command may tell any number of them before its result. */
export type HostMessage =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string }
  | { readonly id: number; readonly note: unknown };

const END_MS = 2000;

interface Pending {
  readonly onNote: (note: unknown) => void;
  resolve(result: unknown): void;
  reject(error: Error): void;
}

export class HostProcess<Command> {
  readonly host: LinkedHost;
  readonly #process: ChildProcess;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;

  private constructor(host: LinkedHost, process: ChildProcess) {
    this.host = host;
    this.#process = process;
    process.on('message', (message: HostMessage) => this.#heard(message));
    process.on('exit', (code, signal) => {
      for (const pending of this.#pending.values())
        pending.reject(new Error(`the bench's process on ${host.name} ended with ${code ?? signal}`));
      this.#pending.clear();
    });
  }

  /** `script` calls `serveHost`. */
  static async start<Command>(host: LinkedHost, script: string): Promise<HostProcess<Command>> {
    const [file, args] = host.commandLine(process.execPath, ['--disable-warning=ExperimentalWarning', script]);
    const child = spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    await once(child, 'spawn');
    host.adopt(child.pid as number);
    return new HostProcess(host, child);
  }

  #heard(message: HostMessage): void {
    const pending = this.#pending.get(message.id);
    if (pending === undefined) return;
    if ('note' in message) {
      pending.onNote(message.note);
      return;
    }
    this.#pending.delete(message.id);
    if ('error' in message) pending.reject(new Error(`${this.host.name}: ${message.error}`));
    else pending.resolve(message.result);
  }

  /** Rejects when the command fails, and when the process has ended. */
  do(command: Command, onNote: (note: unknown) => void = () => undefined): Promise<unknown> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, onNote });
      this.#process.send({ id, command }, (error) => {
        if (error !== null && this.#pending.delete(id)) reject(error);
      });
    });
  }

  /** Has it end by itself, with what it started; kills it when it does not. */
  async end(): Promise<void> {
    if (this.#process.connected) this.#process.disconnect();
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), END_MS);
    if (this.#process.exitCode === null && this.#process.signalCode === null) await once(this.#process, 'exit');
    clearTimeout(timer);
  }

  /** kill -9. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill('SIGKILL');
    await once(this.#process, 'exit');
  }
}

/** The other end: performs what it is told, any number of commands at once. */
export function serveHost<Command>(
  perform: (command: Command, note: (note: unknown) => void) => Promise<unknown>,
): void {
  const say = (message: HostMessage) => {
    if (process.connected) process.send?.(message);
  };
  process.on('message', ({ id, command }: { id: number; command: Command }) => {
    perform(command, (note) => say({ id, note })).then(
      (result) => say({ id, result }),
      (error: Error) => say({ id, error: error.message }),
    );
  });
  process.on('disconnect', () => process.exit());
}

/** The bench's handle of an agent on a host. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { LinkedHost } from '../links/links.ts';
import type { AgentCommand, AgentMessage, Done, Received } from './agent-command.ts';

const SCRIPT = join(import.meta.dirname, 'agent.ts');

interface Pending {
  readonly onBytes: (bytes: number) => void;
  resolve(result: unknown): void;
  reject(error: Error): void;
}

export type OnBytes = (bytes: number) => void;

export class HostAgent {
  readonly host: LinkedHost;
  readonly #process: ChildProcess;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;

  private constructor(host: LinkedHost, process: ChildProcess) {
    this.host = host;
    this.#process = process;
    process.on('message', (message: AgentMessage) => this.#heard(message));
    process.on('exit', (code, signal) => {
      for (const pending of this.#pending.values())
        pending.reject(new Error(`the agent of ${host.name} ended with ${code ?? signal}`));
    });
  }

  static async start(host: LinkedHost): Promise<HostAgent> {
    const [file, args] = host.commandLine(process.execPath, ['--disable-warning=ExperimentalWarning', SCRIPT]);
    const child = spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    await once(child, 'spawn');
    host.adopt(child.pid as number);
    return new HostAgent(host, child);
  }

  #heard(message: AgentMessage): void {
    const pending = this.#pending.get(message.id);
    if (pending === undefined) return;
    if ('bytes' in message) {
      pending.onBytes(message.bytes);
      return;
    }
    this.#pending.delete(message.id);
    if ('error' in message) pending.reject(new Error(`${this.host.name}: ${message.error}`));
    else pending.resolve(message.result);
  }

  #do(command: AgentCommand, onBytes: OnBytes = () => undefined): Promise<unknown> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, onBytes });
      this.#process.send({ id, command });
    });
  }

  /** Endless bytes for `receive`; `address:port` by which other hosts reach them. */
  async source(): Promise<string> {
    return this.host.publish((await this.#do({ do: 'source', address: this.host.address })) as number);
  }

  async receive(from: string, forMs: number): Promise<Received> {
    return (await this.#do({ do: 'receive', from, forMs })) as Received;
  }

  async read(what: { host: string; path: string; sizeBytes: number }, onBytes?: OnBytes): Promise<Done> {
    return (await this.#do({ do: 'read', ...what }, onBytes)) as Done;
  }

  async warm(admin: string, body: Readonly<Record<string, unknown>>, onBytes?: OnBytes): Promise<Done> {
    return (await this.#do({ do: 'warm', admin, body }, onBytes)) as Done;
  }

  async ask(url: string, body?: unknown): Promise<string> {
    return (await this.#do({ do: 'ask', url, body })) as string;
  }

  /** The tracker's `address:port` as other hosts reach it. */
  async track(peers: readonly string[]): Promise<string> {
    return this.host.publish((await this.#do({ do: 'track', address: this.host.address, peers })) as number);
  }

  async torrent(rpc: string, onBytes?: OnBytes): Promise<Done> {
    return (await this.#do({ do: 'torrent', rpc }, onBytes)) as Done;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill('SIGKILL');
    await once(this.#process, 'exit');
  }
}

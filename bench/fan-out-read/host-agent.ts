/** The bench's handle of an agent on a host. */
import { join } from 'node:path';
import { HostProcess } from '../host-process.ts';
import type { LinkedHost } from '../links/links.ts';
import type { AgentCommand, Done, Received } from './agent-command.ts';

const SCRIPT = join(import.meta.dirname, 'agent.ts');

export type OnBytes = (bytes: number) => void;

export class HostAgent {
  readonly #process: HostProcess<AgentCommand>;

  private constructor(process: HostProcess<AgentCommand>) {
    this.#process = process;
  }

  static async start(host: LinkedHost): Promise<HostAgent> {
    return new HostAgent(await HostProcess.start<AgentCommand>(host, SCRIPT));
  }

  get host(): LinkedHost {
    return this.#process.host;
  }

  #do(command: AgentCommand, onBytes: OnBytes = () => undefined): Promise<unknown> {
    return this.#process.do(command, (bytes) => onBytes(bytes as number));
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
    await this.#process.stop();
  }
}

/** The bench's handle of a client process on a host. */
import { join } from 'node:path';
import { HostProcess } from '../host-process.ts';
import type { LinkedHost } from '../links/links.ts';
import type { Gathered, KvCommand, Press, Pressed, Probe, Probed, Replay, Replayed, Values } from './kv-command.ts';
import type { Load, LoadDone } from './resp-load.ts';

const SCRIPT = join(import.meta.dirname, 'kv-agent.ts');

/** This machine as it is, without a link of its own. */
export const HERE: LinkedHost = {
  name: 'this machine',
  address: '127.0.0.1',
  commandLine: (command, args) => [command, args],
  adopt: () => undefined,
  publish: async (port) => `127.0.0.1:${port}`,
  setRate: async () => undefined,
};

export class HostKv {
  readonly #process: HostProcess<KvCommand>;

  private constructor(process: HostProcess<KvCommand>) {
    this.#process = process;
  }

  static async start(host: LinkedHost = HERE): Promise<HostKv> {
    return new HostKv(await HostProcess.start<KvCommand>(host, SCRIPT));
  }

  async load(load: Load): Promise<LoadDone> {
    return (await this.#process.do({ do: 'load', ...load })) as LoadDone;
  }

  async put(what: { host: string; values: Values; from: number; step: number }): Promise<void> {
    await this.#process.do({ do: 'put', ...what });
  }

  async gather(what: { host: string; values: Values; lookup: boolean }): Promise<Gathered> {
    return (await this.#process.do({ do: 'gather', ...what })) as Gathered;
  }

  async probe(what: Probe): Promise<Probed> {
    return (await this.#process.do({ do: 'probe', ...what })) as Probed;
  }

  async press(what: Press, onDone: (lookups: number) => void): Promise<Pressed> {
    return (await this.#process.do({ do: 'press', ...what }, (done) => onDone(done as number))) as Pressed;
  }

  async replay(what: Replay, onDone: (requests: number) => void): Promise<Replayed> {
    return (await this.#process.do({ do: 'replay', ...what }, (done) => onDone(done as number))) as Replayed;
  }

  /** kill -9. */
  async stop(): Promise<void> {
    await this.#process.stop();
  }
}

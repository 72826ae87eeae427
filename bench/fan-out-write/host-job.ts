/** The bench's handle of a job on a host. */
import { join } from 'node:path';
import { HostProcess } from '../host-process.ts';
import type { LinkedHost } from '../links/links.ts';
import type { JobCommand, JobFile, SaveTarget, Spell } from './job-command.ts';

const SCRIPT = join(import.meta.dirname, 'job.ts');

type Body<Kind extends JobCommand['do']> = Omit<Extract<JobCommand, { do: Kind }>, 'do'>;

export class HostJob {
  readonly #process: HostProcess<JobCommand>;

  private constructor(process: HostProcess<JobCommand>) {
    this.#process = process;
  }

  static async start(host: LinkedHost): Promise<HostJob> {
    return new HostJob(await HostProcess.start<JobCommand>(host, SCRIPT));
  }

  async save(ranks: readonly (readonly JobFile[])[], to: SaveTarget): Promise<Spell> {
    return (await this.#process.do({ do: 'save', ranks, to })) as Spell;
  }

  async copy(what: Body<'copy'>): Promise<Spell> {
    return (await this.#process.do({ do: 'copy', ...what })) as Spell;
  }

  async restore(what: Body<'restore'>): Promise<Spell> {
    return (await this.#process.do({ do: 'restore', ...what })) as Spell;
  }

  async exists(host: string, path: string): Promise<boolean> {
    return (await this.#process.do({ do: 'exists', host, path })) as boolean;
  }

  async open(what: Body<'open'>): Promise<readonly number[]> {
    return (await this.#process.do({ do: 'open', ...what })) as readonly number[];
  }

  async put(what: Body<'put'>): Promise<Spell> {
    return (await this.#process.do({ do: 'put', ...what })) as Spell;
  }

  /** kill -9. */
  async stop(): Promise<void> {
    await this.#process.stop();
  }
}

/** `forebay adopt DIR` beside a job, as a user starts it. */
import { dirname, join } from 'node:path';
import { Child } from '../child.ts';
import { type Daemon, ownEnvironment } from '../daemon.ts';
import type { LinkedHost } from '../links/links.ts';

const COMMAND = join(import.meta.dirname, '..', '..', 'bin', 'forebay');

export class Adopter {
  readonly #child: Child;

  private constructor(child: Child) {
    this.#child = child;
  }

  /** Resolves when it watches the directory. */
  static async start(options: { host: LinkedHost; adopted: string; daemon: Daemon; volume: string }): Promise<Adopter> {
    const { host, adopted, daemon, volume } = options;
    const args = ['adopt', adopted, '--volume', volume, '--admin', daemon.admin, '--json'];
    const child = await Child.start(...host.commandLine(COMMAND, args), {
      env: { ...ownEnvironment(), XDG_CONFIG_HOME: dirname(adopted) },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    child.process.channel?.unref();
    host.adopt(child.pid);
    await once(child);
    return new Adopter(child);
  }

  async kill(): Promise<void> {
    await this.#child.kill();
  }
}

/** Its first line says that it is ready. */
async function once(child: Child): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  child.process.stdout?.once('data', () => resolve());
  const ended = child.ended().then((code) => {
    throw new Error(`forebay adopt ended with ${code}: ${child.complaint}`);
  });
  await Promise.race([promise, ended]);
  ended.catch(() => undefined);
}

/** A whole cluster as a user starts it: `forebay dev --nodes N`. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Child } from './child.ts';
import { ownEnvironment } from './daemon.ts';

export interface DevNode {
  readonly name: string;
  readonly pid: number;
  /** Door → `address:port`. */
  readonly doors: Readonly<Record<'s3' | 'admin', string>>;
}

export interface DevClusterOptions {
  readonly nodes: number;
  /** Holds the nodes' state, kept when the cluster stops. */
  readonly directory: string;
  /** `key=value`, for `--set`. */
  readonly settings: readonly string[];
  /** `NAME=ORIGIN`, for `--volume`. */
  readonly volume: string;
  readonly environment?: Readonly<Record<string, string>>;
}

const COMMAND = join(import.meta.dirname, '..', 'bin', 'forebay');
const START_MS = 90_000;

export class DevCluster {
  readonly nodes: readonly DevNode[];
  readonly #child: Child;

  private constructor(child: Child, nodes: readonly DevNode[]) {
    this.#child = child;
    this.nodes = nodes;
  }

  /** Resolves when all nodes serve. Rejects with what it said when they do not. */
  static async start(options: DevClusterOptions): Promise<DevCluster> {
    const { nodes, directory, settings, volume, environment } = options;
    mkdirSync(directory, { recursive: true });
    const set = ['doors.s3=127.0.0.1:0', 'doors.resp=127.0.0.1:0', 'doors.admin=127.0.0.1:0', ...settings].flatMap(
      (text) => ['--set', text],
    );
    const args = ['dev', '--json', '--nodes', String(nodes), '--dir', directory, '--volume', volume, ...set];
    const child = await Child.start(COMMAND, args, {
      cwd: directory,
      env: { ...ownEnvironment(), ...environment },
      // The channel says nothing; when this process is killed its end tells the cluster to stop.
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    child.process.channel?.unref();
    const timer = setTimeout(() => child.process.kill('SIGKILL'), START_MS);
    try {
      for await (const line of createInterface({ input: child.process.stdout as NodeJS.ReadableStream })) {
        const said = JSON.parse(line) as { nodes?: readonly DevNode[]; error?: { message: string } };
        if (said.error) throw new Error(`forebay dev: ${said.error.message}`);
        if (said.nodes === undefined) continue;
        child.process.stdout?.resume();
        return new DevCluster(child, said.nodes);
      }
      throw new Error(`forebay dev ended with ${await child.ended()}: ${child.complaint}`);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The last of the nodes' log. */
  get complaint(): string {
    return this.#child.complaint;
  }

  async stop(): Promise<void> {
    await this.#child.stop(30_000);
  }
}

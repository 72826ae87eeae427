/**
 * A real `forebay up`, as a user starts it: the command of this clone, a configuration file, doors on free ports. Used
 * by the benches, the demo and the tests of real clients and bad days.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Child } from './child.ts';
import type { LinkedHost } from './links/links.ts';
import { cpuSeconds, type Memory, memoryOf } from './process-usage.ts';
import type { SigningKey } from './sign.ts';

export type Setting = string | number | boolean;
export type Settings = Readonly<Record<string, Setting>>;

export interface DaemonOptions {
  /** Holds `forebay.toml` and, unless `cacheDirectory` says otherwise, the cache in `cache`. Kept when the daemon stops. */
  readonly directory: string;
  readonly cacheDirectory?: string;
  readonly volumes: Readonly<Record<string, Settings>>;
  /** Keys of `[node]`. */
  readonly node?: Settings;
  /** Keys of `[doors]` besides the addresses of s3 and admin, which are free ports of loopback. */
  readonly doors?: Settings;
  /** Keys of `[cluster]`; absent: a node alone. */
  readonly cluster?: Settings;
  /** Where it runs; absent: on this machine as it is. */
  readonly host?: LinkedHost;
  /** The one access key, with every right; absent: the doors are anonymous. */
  readonly key?: SigningKey;
  readonly environment?: Readonly<Record<string, string>>;
}

const COMMAND = join(import.meta.dirname, '..', 'bin', 'forebay');
const START_MS = 60_000;

const table = (name: string, settings: Settings) =>
  [`[${name}]`, ...Object.entries(settings).map(([key, value]) => `${key} = ${JSON.stringify(value)}`), ''].join('\n');

/** The configuration as it is written to `forebay.toml`. */
function configurationOf(options: DaemonOptions): string {
  const { key } = options;
  return [
    table('node', { cacheDir: options.cacheDirectory ?? join(options.directory, 'cache'), ...options.node }),
    table('doors', {
      s3: '127.0.0.1:0',
      resp: '127.0.0.1:0',
      admin: '127.0.0.1:0',
      ...(key === undefined ? { anonymous: true } : {}),
      ...options.doors,
    }),
    options.cluster === undefined ? '' : table('cluster', options.cluster),
    key === undefined
      ? ''
      : `[keys.${key.id}]\nsecret = "${key.secret}"\nvolumes = ["*"]\nrights = ["read", "write", "admin"]\n`,
    ...Object.entries(options.volumes).map(([name, settings]) => table(`volumes.${name}`, settings)),
  ].join('\n');
}

/** This machine's environment without credentials for clouds and proxies of the user's own: everything here is on loopback. */
export function ownEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(AWS|AZURE)_|_proxy$/i.test(name)));
}

interface Ready {
  readonly ready: true;
  readonly pid: number;
  readonly doors: { readonly s3: string; readonly admin: string; readonly resp?: string };
}

/** The daemon ended before it was ready: `code` and what it said. */
export class DaemonRefused extends Error {
  override name = 'DaemonRefused';
  readonly code: number | string;

  constructor(code: number | string, complaint: string) {
    super(`forebay up ended with ${code}: ${complaint}`);
    this.code = code;
  }
}

export class Daemon {
  readonly pid: number;
  /** `address:port` of the doors. */
  readonly s3: string;
  readonly admin: string;
  /** Where a kv volume is configured. */
  readonly resp: string | undefined;
  readonly key: SigningKey | undefined;
  /** From the start of the command until it served. */
  readonly startSeconds: number;
  readonly #child: Child;

  private constructor(child: Child, ready: Ready, key: SigningKey | undefined, startSeconds: number) {
    this.#child = child;
    this.pid = ready.pid;
    this.s3 = ready.doors.s3;
    this.admin = ready.doors.admin;
    this.resp = ready.doors.resp;
    this.key = key;
    this.startSeconds = startSeconds;
  }

  /** Resolves when it serves. Throws DaemonRefused. */
  static async start(options: DaemonOptions): Promise<Daemon> {
    const from = performance.now();
    mkdirSync(options.directory, { recursive: true });
    const file = join(options.directory, 'forebay.toml');
    writeFileSync(file, configurationOf(options), { mode: 0o600 });
    const command = [COMMAND, ['up', '--json', '--config', file]] as const;
    const child = await Child.start(...(options.host?.commandLine(...command) ?? command), {
      cwd: options.directory,
      env: { ...ownEnvironment(), XDG_CONFIG_HOME: options.directory, ...options.environment },
      // The channel says nothing; when the bench is killed its end tells the daemon to stop.
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    child.process.channel?.unref();
    options.host?.adopt(child.pid);
    const timer = setTimeout(() => child.process.kill('SIGKILL'), START_MS);
    const said: string[] = [];
    try {
      for await (const line of createInterface({ input: child.process.stdout as NodeJS.ReadableStream })) {
        const ready = parseReady(line);
        if (ready === undefined) {
          said.push(line);
          continue;
        }
        child.process.stdout?.resume();
        return new Daemon(child, ready, options.key, (performance.now() - from) / 1000);
      }
      throw new DaemonRefused(await child.ended(), [...said, child.complaint].join('\n'));
    } finally {
      clearTimeout(timer);
    }
  }

  /** The last of what it wrote to standard error. */
  get complaint(): string {
    return this.#child.complaint;
  }

  get hasEnded(): boolean {
    return this.#child.hasEnded;
  }

  cpuSeconds(): number {
    return cpuSeconds(this.pid);
  }

  memory(): Memory {
    return memoryOf(this.pid);
  }

  /** Ends it in good order; returns its exit code. */
  async stop(): Promise<number | string> {
    return this.#child.stop();
  }

  /** kill -9. */
  async kill(): Promise<void> {
    await this.#child.kill();
  }
}

function parseReady(line: string): Ready | undefined {
  try {
    const said: unknown = JSON.parse(line);
    return typeof said === 'object' && said !== null && 'ready' in said ? (said as Ready) : undefined;
  } catch {
    return undefined;
  }
}

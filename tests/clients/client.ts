/** What the suite asks of a real S3 client; each tool has a file that says how it does it. */
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { TestContext } from 'node:test';
import type { SigningKey } from '../../bench/sign.ts';

/** The door of a running daemon, as a user would hand it to a tool. */
export interface Door {
  /** `http://address:port` */
  readonly endpoint: string;
  readonly bucket: string;
  readonly key: SigningKey;
  /** For the client's own files. */
  readonly directory: string;
}

export interface Client {
  upload(key: string, file: string): Promise<void>;
  /** In parts of 8 MiB. */
  uploadInParts(key: string, file: string): Promise<void>;
  download(key: string, file: string): Promise<void>;
  /** Every file below the folder, its path below the prefix (which ends in `/`). */
  uploadFolder(folder: string, prefix: string): Promise<void>;
  downloadFolder(prefix: string, folder: string): Promise<void>;
  /** The bytes `[start, end)`, by the tool's own way to ask for a part of an object. */
  range(key: string, start: number, end: number): Promise<Buffer>;
  /** All keys that begin with the prefix (a folder), through all pages. */
  list(prefix: string): Promise<string[]>;
  copy(from: string, to: string): Promise<void>;
  remove(key: string): Promise<void>;
  close(): Promise<void>;
}

export interface Tool {
  readonly name: string;
  /** Connects to the door; undefined where the tool is missing and the test has been skipped by name. */
  connect(t: TestContext, door: Door): Promise<Client | undefined>;
}

export const PART_BYTES = 8 << 20;
const OUTPUT_MAX_BYTES = 64 << 20;
const COMMAND_MS = 60_000;

/** The folder's files one by one, for clients that know no folders: path below the folder, and file. */
export function filesBelow(folder: string): { path: string; file: string }[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) => ({ path: relative(folder, file), file }));
}

/** `downloadFolder` for clients that know no folders. */
export async function downloadEach(client: Client, prefix: string, folder: string): Promise<void> {
  for (const key of await client.list(prefix)) {
    const file = join(folder, key.slice(prefix.length));
    mkdirSync(dirname(file), { recursive: true });
    await client.download(key, file);
  }
}

/** This machine's environment without what the user has set up for the tools under test, and without proxies: the door is on loopback. */
export function clientEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(AWS|AZURE|RCLONE|S3CMD)_|_proxy$/i.test(name)),
  );
}

/** Runs a command; its standard output, or an error with what it said. */
export function run(command: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    execFile(
      command,
      args,
      {
        env: { ...clientEnvironment(), ...environment },
        maxBuffer: OUTPUT_MAX_BYTES,
        timeout: COMMAND_MS,
        encoding: 'buffer',
      },
      (error, stdout, stderr) => {
        if (error)
          reject(
            new Error(
              `${command} ${args.join(' ')}: ${error.code ?? error.signal ?? 'failed'}\n${stderr.toString()}\n${stdout.toString()}`,
            ),
          );
        else resolve(stdout);
      },
    );
  });
}

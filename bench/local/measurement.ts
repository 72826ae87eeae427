/** What a part of `bench local` gets and gives. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Daemon, type DaemonOptions } from '../daemon.ts';
import { Nginx } from '../nginx.ts';
import type { OriginProcess } from '../origin-process.ts';
import type { GeneratedObject } from '../origin-server.ts';
import { patternSlices } from '../pattern.ts';
import type { Progress } from '../progress.ts';
import type { Figure } from '../result.ts';
import type { SigningKey } from '../sign.ts';

export const MiB = 2 ** 20;
export const GiB = 2 ** 30;
export const GB = 1e9;

export interface Run {
  /** Empty, of this measurement alone; on the disk that is measured. */
  readonly directory: string;
  readonly full: boolean;
  /** Compare Forebay with itself instead of with the baseline. */
  readonly self: boolean;
  readonly progress: Progress;
}

export interface Measured {
  readonly figures: Readonly<Record<string, Figure>>;
  readonly trials: Readonly<Record<string, readonly unknown[]>>;
  /** File name → SVG. */
  readonly plots?: Readonly<Record<string, string>>;
}

export interface Measurement {
  /** The figures that it gives, for `--only`. */
  readonly figures: readonly string[];
  run(run: Run): Promise<Measured>;
}

/** The bucket of the origin, the volume, and the folder of nginx: one path names an object at each. */
export const VOLUME = 'lake';
export const pathOf = (key: string) => `/${VOLUME}/${key}`;

export const KEY: SigningKey = { id: 'FOREBAYBENCHKEY00001', secret: 'forebay-bench-secret-of-this-machine-only' };

/** Forebay in front of the bench's origin, with signatures and the defaults of a user but for what `options` says. */
export async function startForebay(
  directory: string,
  origin: OriginProcess,
  options: Partial<DaemonOptions> = {},
): Promise<Daemon> {
  return Daemon.start({
    directory,
    volumes: { [VOLUME]: { origin: `s3://${origin.bucket}`, endpoint: origin.endpoint, region: 'us-east-1' } },
    key: KEY,
    environment: { AWS_ACCESS_KEY_ID: 'bench', AWS_SECRET_ACCESS_KEY: 'bench' },
    ...options,
  });
}

/** A server under measurement: Forebay or the baseline. */
export interface Side {
  readonly name: string;
  readonly host: string;
  readonly pid: number;
  readonly key: SigningKey | undefined;
}

export const forebaySide = (daemon: Daemon): Side => ({
  name: 'Forebay',
  host: daemon.s3,
  pid: daemon.pid,
  key: daemon.key,
});

/** Starts what Forebay is compared with: nginx over the same bytes as files, or a second Forebay. */
export async function startBaseline(
  run: Run,
  stack: AsyncDisposableStack,
  origin: OriginProcess,
  objects: readonly GeneratedObject[],
): Promise<Side> {
  if (run.self) {
    const daemon = await startForebay(join(run.directory, 'itself'), origin);
    stack.defer(async () => void (await daemon.stop()));
    return { ...forebaySide(daemon), name: 'Forebay itself' };
  }
  const root = join(run.directory, 'nginx-root');
  for (const object of objects) {
    const file = join(root, VOLUME, object.key);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, Buffer.concat([...patternSlices(object.seed, object.sizeBytes)]));
  }
  const nginx = await Nginx.start(join(run.directory, 'nginx'), root);
  stack.defer(() => nginx.stop());
  return { name: 'nginx', host: nginx.host, pid: nginx.pid, key: undefined };
}

/**
 * The configuration of a node (DESIGN.md section 11): one TOML file, `--set key=value` and `--volume NAME=ORIGIN`
 * over it, checked as a whole. Every complaint names the file and line or the option it came from, what was expected,
 * and how to write it. A key that is not known is an error, and so is a value that this version cannot honour:
 * nothing is ignored silently.
 */
import { readFile } from 'node:fs/promises';
import type { Address } from '../core/address.ts';
import { ForebayError } from '../core/errors.ts';
import type { Volume } from '../core/volume.ts';
import type { AccessKey } from '../front/credentials.ts';
import { explainIssues } from './config-complaint.ts';
import { type Surroundings, schemaFor } from './config-schema.ts';
import { ConfigSource } from './config-source.ts';

/** A volume with what its origin needs to be opened. */
export interface VolumeConfig {
  readonly volume: Volume;
  /** `http(s)://…` in place of the cloud's own address. */
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
}

export interface Config {
  readonly node: {
    readonly name: string;
    readonly zone: string | undefined;
    readonly cacheDir: string;
    /** Absent: decided at first start from the free space (`node/capacity.ts`). */
    readonly capacityBytes: number | undefined;
    readonly memoryBytes: number;
    /** `off` takes the portable paths even where the kernel could be called directly. */
    readonly ffi: 'auto' | 'off';
    /** Where peers reach this node; absent: where the peer door listens. Port 0 stands for that door's. */
    readonly advertise: Address | undefined;
  };
  readonly doors: {
    readonly s3: Address | false;
    /** False without a kv volume. */
    readonly resp: Address | false;
    readonly admin: Address | false;
    /** False for a node alone. */
    readonly peer: Address | false;
    /** Every request is accepted as an all-powerful key; loopback only. */
    readonly anonymous: boolean;
    /** Virtual-host addressing: buckets are names below this one. */
    readonly domain: string | undefined;
    /** Names, besides `localhost`, IP literals and the node's own, under which browsers may reach the admin door. */
    readonly hosts: readonly string[];
  };
  readonly cluster: {
    readonly name: string;
    /** `embedded:/path` or `etcd(s)://…`; absent for a node alone. */
    readonly coordinator: string | undefined;
    readonly coordinatorUser: string | undefined;
    readonly coordinatorPasswordFile: string | undefined;
    readonly coordinatorCaFile: string | undefined;
    readonly coordinatorCertificateFile: string | undefined;
    readonly coordinatorKeyFile: string | undefined;
    /** One secret per line; the first signs, all are accepted. */
    readonly secretFile: string | undefined;
    readonly transport: 'plain' | 'tls';
  };
  /** Infinity bounds nothing. */
  readonly bandwidth: {
    /** What this node may receive from peers. */
    readonly peerBytesPerS: number;
    /** What it may fill from origins. */
    readonly originBytesPerS: number;
    /** What is copied anew after the loss of nodes. */
    readonly repairBytesPerS: number;
  };
  readonly log: {
    readonly level: 'debug' | 'info' | 'warn' | 'error';
    readonly format: 'auto' | 'json' | 'text';
  };
  readonly keys: readonly AccessKey[];
  readonly volumes: readonly VolumeConfig[];
  /** The file that was read, where there was one. */
  readonly file: string | undefined;
}

export interface ConfigRequest {
  /** `--config`; else `./forebay.toml`, `/etc/forebay/forebay.toml`, else no file. */
  readonly file?: string | undefined;
  /** Each `key=value`, in order; later ones win. */
  readonly set?: readonly string[];
  /** Each `NAME=ORIGIN`. */
  readonly volume?: readonly string[];
}

const SEARCH = ['forebay.toml', '/etc/forebay/forebay.toml'];
const FILE_MAX_BYTES = 1 << 20;

/** Throws ForebayError `config` with one line per complaint. */
export async function loadConfig(request: ConfigRequest, surroundings: Surroundings): Promise<Config> {
  const file = await readConfigFile(request.file);
  return parseConfig({ ...request, ...(file && { file: file.path, text: file.text }) }, surroundings);
}

/** The same without a disk: `text` is what the file holds. */
export function parseConfig(request: ConfigRequest & { readonly text?: string }, surroundings: Surroundings): Config {
  const source = new ConfigSource();
  if (request.text !== undefined) source.addFile(request.file ?? 'forebay.toml', request.text);
  for (const text of request.volume ?? []) source.addVolume(text);
  for (const text of request.set ?? []) source.addSet(text);
  const result = schemaFor(surroundings).safeParse(source.value);
  if (!result.success) throw new ForebayError('config', explainIssues(result.error.issues, source).join('\n'));
  return { ...result.data, file: request.text === undefined ? undefined : request.file };
}

async function readConfigFile(named: string | undefined): Promise<{ path: string; text: string } | undefined> {
  for (const path of named === undefined ? SEARCH : [named]) {
    try {
      const bytes = await readFile(path);
      if (bytes.length > FILE_MAX_BYTES)
        throw new ForebayError('config', `${path}: larger than 1 MiB, not a configuration`);
      return { path, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
    } catch (error) {
      if (error instanceof ForebayError) throw error;
      if (error instanceof TypeError) throw new ForebayError('config', `${path}: not UTF-8 text`, { cause: error });
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'ENOENT' && named === undefined) continue;
      throw new ForebayError('config', `${path}: cannot be read (${code ?? String(error)})`, { cause: error });
    }
  }
  return undefined;
}

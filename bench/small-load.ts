/** Many small GETs over keep-alive connections, by wrk: requests are prepared, so that the client costs the same for any server. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { requestHead, type SigningKey } from './sign.ts';

const run = promisify(execFile);

export interface SmallLoad {
  readonly host: string;
  readonly paths: readonly string[];
  readonly key?: SigningKey;
  readonly connections: number;
  readonly seconds: number;
  /** Where wrk's script is written; one file per call under way. */
  readonly scriptFile: string;
}

export interface SmallLoadResult {
  readonly requestsPerS: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const milliseconds = (text: string | undefined): number => {
  const found = /^([\d.]+)(us|ms|s|m)$/.exec(text ?? '');
  if (!found) return Number.NaN;
  return Number(found[1]) * ({ us: 1e-3, ms: 1, s: 1e3, m: 6e4 }[found[2] as 'us' | 'ms' | 's' | 'm'] as number);
};

/** Throws when any answer was not 2xx or a connection failed. The signatures count for 15 minutes from now. */
export async function smallLoad(load: SmallLoad): Promise<SmallLoadResult> {
  const atMs = Date.now();
  const heads = load.paths.map((path) => requestHead({ method: 'GET', host: load.host, path, atMs }, load.key));
  const script = `local heads = {${heads.map((head) => JSON.stringify(head)).join(',\n')}}
local at = 0
request = function() at = at % #heads + 1; return heads[at] end\n`;
  writeFileSync(load.scriptFile, script);
  const { stdout } = await run('wrk', [
    '--latency',
    '-t1',
    `-c${load.connections}`,
    `-d${load.seconds}s`,
    '-s',
    load.scriptFile,
    `http://${load.host}/`,
  ]);
  const failed = /Non-2xx or 3xx responses: (\d+)|Socket errors: .*/.exec(stdout);
  if (failed) throw new Error(`small GETs from ${load.host}: ${failed[0]}`);
  const requestsPerS = Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1] ?? Number.NaN);
  if (!(requestsPerS > 0)) throw new Error(`wrk said nothing of use: ${stdout}`);
  const percentile = (name: string) => milliseconds(new RegExp(`${name}%\\s+(\\S+)`).exec(stdout)?.[1]);
  return { requestsPerS, p50Ms: percentile('50'), p99Ms: percentile('99') };
}

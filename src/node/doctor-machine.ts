/** What `forebay doctor` asks of the machine: runtime, kernel, limits, the key. */
import { spawnSync } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { release } from 'node:os';
import { isForebayError } from '../core/errors.ts';
import { openFilesMax } from '../core/limits.ts';
import { loadLibc } from '../io/real/libc.ts';
import type { Config } from './config.ts';
import type { Surroundings } from './config-schema.ts';
import { credentialsPath, readCredentialsFile } from './credentials-file.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

const NODE_MAJOR = 26;
const DESCRIPTORS_WANTED = 65_536;

export async function diagnoseMachine(config: Config | undefined, here: Surroundings): Promise<Finding[]> {
  return [nodeVersion(), ffi(config), kernel(), descriptors(), ...(await key(here)), ...(await configFile(config))];
}

function nodeVersion(): Finding {
  const major = Number(process.versions.node.split('.')[0]);
  if (major >= NODE_MAJOR) return ok('node', `v${process.versions.node}`);
  return fail(
    'node',
    `v${process.versions.node} is older than ${NODE_MAJOR}`,
    'Start Forebay by bin/forebay, which brings its own Node.',
  );
}

function ffi(config: Config | undefined): Finding {
  const libc = loadLibc(config?.node.ffi ?? 'auto');
  if (libc.available) return ok('sendfile', 'local hits leave by sendfile in threads of their own (node:ffi)');
  return warn(
    'sendfile',
    `the portable path is used: ${libc.reason}`,
    'Hits cost more CPU. Linux on x64 or arm64 with node:ffi gives zero copy.',
  );
}

function kernel(): Finding {
  const version = release();
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const passthrough = major > 6 || (major === 6 && minor >= 9);
  if (process.platform !== 'linux')
    return warn(
      'kernel',
      `${process.platform} ${version}`,
      'Forebay is made for Linux; elsewhere the portable paths are used.',
    );
  return ok('kernel', `Linux ${version}${passthrough ? ', has FUSE passthrough' : ''}`);
}

/** Node raises the soft limit to the hard one when it starts, so the hard one counts. */
function descriptors(): Finding {
  const { stdout } = spawnSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' });
  const text = stdout?.trim() ?? '';
  const limit = text === 'unlimited' ? Infinity : Number(text);
  if (limit >= DESCRIPTORS_WANTED) return ok('open files', `up to ${text}`);
  const hint = `Raise it: ulimit -n ${DESCRIPTORS_WANTED}, or LimitNOFILE=${DESCRIPTORS_WANTED} in the unit of systemd.`;
  if (!(limit >= 2 * openFilesMax)) return fail('open files', `at most ${text}, fewer than Forebay opens`, hint);
  return warn('open files', `at most ${text}: few connections beside the files of the cache`, hint);
}

async function key(here: Surroundings): Promise<Finding[]> {
  const path = credentialsPath(here);
  try {
    const found = await readCredentialsFile(path);
    return [ok('credentials', found ? `${path} holds the key ${found.id}` : `${path} will be made by the first start`)];
  } catch (error) {
    if (!isForebayError(error, 'config')) throw error;
    return [fail('credentials', error.message, `chmod 600 ${path}`)];
  }
}

/** A configuration with secrets in it is as private as the key. */
async function configFile(config: Config | undefined): Promise<Finding[]> {
  if (!config) return [];
  if (config.file === undefined) return [ok('configuration', 'no file; options and defaults')];
  const { mode } = await stat(config.file);
  if (config.keys.length > 0 && (mode & 0o044) !== 0)
    return [warn('configuration', `${config.file} holds secrets and others may read it`, `chmod 600 ${config.file}`)];
  return [ok('configuration', `${config.file}: ${config.volumes.length} volumes`)];
}

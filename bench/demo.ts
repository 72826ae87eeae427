/**
 * `forebay demo`: before and after, on one's own bytes. A slow origin holds a real file (or a folder); several readers
 * at once read it directly, through an empty Forebay, again, and after a restart. What the origin was asked is
 * counted at the origin, and every byte is checked by SHA-256.
 *
 * Leaves nothing behind: processes and the temporary directory go, also on Ctrl-C.
 */
import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Daemon } from './daemon.ts';
import { HashingReader } from './hashing-reader.ts';
import { countRequests, type OriginCounts } from './origin-log.ts';
import { OriginProcess } from './origin-process.ts';

const USAGE = `forebay demo [--input PATH] [--readers N] [--seconds N] [--json]

  Reads a file, or the files of a folder, from a slow origin: directly, through
  Forebay cold and warm, and after a restart. About half a minute.

  --input PATH   your own file or folder (default: the Node executable)
  --readers N    readers at once, 1 to 32 (default: 4)
  --seconds N    how slow the origin is: reading directly takes about this long
                 (default: 12)
  --json         one line of JSON instead of the table
`;

const BUCKET = 'lake';
const MB = 1e6;
const FILES_MAX = 10_000;

interface Input {
  readonly key: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

interface Phase {
  readonly name: string;
  readonly seconds: number;
  readonly bytes: number;
  readonly origin: OriginCounts;
  readonly verified: number;
}

class WrongUse extends Error {
  override name = 'WrongUse';
}

async function sha256Of(path: string): Promise<string> {
  const digest = createHash('sha256');
  for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) digest.update(piece as Buffer);
  return digest.digest('hex');
}

/** The file, or the regular files below the folder, with what their bytes must hash to. */
async function inputsOf(path: string): Promise<Input[]> {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) throw new WrongUse(`there is no ${path}`);
  const paths = found.isFile()
    ? [path]
    : readdirSync(path, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name));
  if (paths.length === 0) throw new WrongUse(`there are no files in ${path}`);
  if (paths.length > FILES_MAX) throw new WrongUse(`${path} has more than ${FILES_MAX} files; choose a smaller folder`);
  const root = found.isFile() ? resolve(path, '..') : path;
  const inputs: Input[] = [];
  for (const file of paths.sort())
    inputs.push({
      key: relative(root, file),
      path: file,
      sizeBytes: statSync(file).size,
      sha256: await sha256Of(file),
    });
  return inputs;
}

/** Overwrites one line of a terminal; silent elsewhere. */
function status(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

const bar = (fraction: number) => {
  const full = Math.round(Math.min(1, fraction) * 30);
  return `${'█'.repeat(full)}${'░'.repeat(30 - full)}`;
};

/** All readers read all inputs at once; every digest must be right. */
async function phase(
  name: string,
  endpoint: string,
  options: { inputs: readonly Input[]; readers: number; origin: OriginProcess },
): Promise<Phase> {
  const { inputs, readers, origin } = options;
  const total = readers * inputs.reduce((sum, input) => sum + input.sizeBytes, 0);
  await origin.reset();
  let bytes = 0;
  let shownAtMs = 0;
  const count = (came: number) => {
    bytes += came;
    if (performance.now() - shownAtMs < 100) return;
    shownAtMs = performance.now();
    status(`${name.padEnd(24)} ${bar(bytes / total)} ${Math.round((100 * bytes) / total)} %`);
  };
  const fromMs = performance.now();
  const right = await Promise.all(
    Array.from({ length: readers }, async () => {
      const reader = new HashingReader(endpoint);
      for (const { key, sha256 } of inputs)
        if ((await reader.read(BUCKET, key, count)) !== sha256) throw new Error(`${name}: ${key} has wrong bytes`);
      reader.close();
      return inputs.length;
    }),
  );
  const seconds = (performance.now() - fromMs) / 1000;
  status('');
  return {
    name,
    seconds,
    bytes: total,
    origin: countRequests(await origin.requests()),
    verified: right.reduce((sum, files) => sum + files, 0),
  };
}

const HEAD = ['', 'seconds', 'MB/s', 'origin GETs', 'origin MB', 'SHA-256'] as const;

function line(cells: readonly string[]): string {
  const widths = [-24, 8, 8, 13, 11, 13];
  return cells
    .map((cell, i) => {
      const width = widths[i] as number;
      return width < 0 ? cell.padEnd(-width) : cell.padStart(width);
    })
    .join('')
    .trimEnd();
}

const rowOf = (done: Phase): string =>
  line([
    done.name,
    done.seconds.toFixed(done.seconds < 10 ? 2 : 1),
    (done.bytes / MB / done.seconds).toFixed(0),
    String(done.origin.gets),
    (done.origin.getBytes / MB).toFixed(0),
    `${done.verified} right`,
  ]);

/** What the table says, in words. */
function conclusion(phases: readonly Phase[]): string {
  const [direct, cold, warm, restarted] = phases as [Phase, Phase, Phase, Phase];
  const times = (a: Phase, b: Phase) => (a.seconds / b.seconds).toFixed(1);
  const less = (direct.origin.getBytes / Math.max(1, cold.origin.getBytes)).toFixed(1);
  return [
    `Through Forebay the origin sent ${less} times less. Its readers had all bytes`,
    `${times(direct, cold)}× as fast cold, ${times(direct, warm)}× warm, and ${times(direct, restarted)}× after a restart.`,
  ].join('\n');
}

interface DemoOptions {
  readonly path: string;
  readonly readers: number;
  readonly directSeconds: number;
  readonly json: boolean;
}

/** On Ctrl-C everything is stopped and removed before the process ends. */
function cleanUpOnInterrupt(stack: AsyncDisposableStack): void {
  const stop = () => {
    status('');
    void stack.disposeAsync().finally(() => process.exit(130));
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  stack.defer(() => void process.off('SIGINT', stop).off('SIGTERM', stop));
}

async function runDemo(options: DemoOptions): Promise<readonly Phase[]> {
  await using stack = new AsyncDisposableStack();
  cleanUpOnInterrupt(stack);
  const say = (text: string) => {
    if (!options.json) process.stdout.write(`${text}\n`);
  };
  status(`reading ${basename(options.path)}…`);
  const inputs = await inputsOf(options.path);
  status('');
  const sizeBytes = inputs.reduce((sum, input) => sum + input.sizeBytes, 0);
  const bytesPerS = Math.max(MB, Math.round((options.readers * sizeBytes) / options.directSeconds / MB) * MB);
  const directory = mkdtempSync(join(tmpdir(), 'forebay-demo-'));
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  const files = Object.fromEntries(inputs.map((input) => [input.key, input.path]));
  const origin = await OriginProcess.start({ bucket: BUCKET, files, bytesPerS });
  stack.defer(() => origin.stop());
  const start = () =>
    Daemon.start({
      directory,
      volumes: { [BUCKET]: { origin: `s3://${BUCKET}`, endpoint: origin.endpoint, region: 'us-east-1' } },
      node: { capacity: `${Math.max(1, Math.ceil((2 * sizeBytes) / 2 ** 30))}GiB` },
      environment: { AWS_ACCESS_KEY_ID: 'demo', AWS_SECRET_ACCESS_KEY: 'demo' },
    });
  say(
    `${inputs.length === 1 ? inputs[0]?.key : `${inputs.length} files of ${basename(options.path)}`}, ${(sizeBytes / MB).toFixed(0)} MB, by ${options.readers} readers at once; the origin gives ${bytesPerS / MB} MB/s\n`,
  );
  say(line(HEAD));
  const phases: Phase[] = [];
  const run = async (name: string, endpoint: string) => {
    phases.push(await phase(name, endpoint, { inputs, readers: options.readers, origin }));
    say(rowOf(phases.at(-1) as Phase));
  };
  await run('direct from the origin', origin.endpoint);
  let daemon = await start();
  stack.defer(async () => void (await daemon.stop()));
  await run('Forebay, cold', `http://${daemon.s3}`);
  await run('Forebay, warm', `http://${daemon.s3}`);
  status('restarting Forebay…');
  await daemon.stop();
  daemon = await start();
  await run('Forebay, after restart', `http://${daemon.s3}`);
  say(`\n${conclusion(phases)}`);
  return phases;
}

/** Exit code 0: every byte was right; 1: something failed; 2: wrong use. */
export async function demoMain(argv: readonly string[]): Promise<number> {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        input: { type: 'string', default: process.execPath },
        readers: { type: 'string', default: '4' },
        seconds: { type: 'string', default: '12' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(USAGE);
      return 0;
    }
    const readers = Number(values.readers);
    if (!(Number.isInteger(readers) && readers >= 1 && readers <= 32)) throw new WrongUse('--readers is 1 to 32');
    const directSeconds = Number(values.seconds);
    if (!(directSeconds > 0 && directSeconds <= 600)) throw new WrongUse('--seconds is above 0, up to 600');
    const phases = await runDemo({ path: resolve(values.input), readers, directSeconds, json: values.json });
    if (values.json) process.stdout.write(`${JSON.stringify({ phases })}\n`);
    return 0;
  } catch (error) {
    const wrongUse = error instanceof WrongUse || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
    status('');
    process.stderr.write(`forebay demo: ${(error as Error).message}\n${wrongUse ? `\n${USAGE}` : ''}`);
    return wrongUse ? 2 : 1;
  }
}

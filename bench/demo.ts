/**
 * `forebay demo`: before and after, on one's own bytes. A slow origin holds a real file (or a folder) that several nodes
 * want at once: each straight from the origin, then through a Forebay cluster, again, with a node that is killed midway, and
 * after a restart. What the origin was asked is counted at the origin, and every byte is checked by SHA-256.
 *
 * Leaves nothing behind: processes and the temporary directory go, also on Ctrl-C.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type DemoInput, inputsOf } from './demo-input.ts';
import { type Phase, type Place, runPhase } from './demo-phase.ts';
import { DevCluster, type DevNode } from './dev-cluster.ts';
import { cleanUpOnInterrupt, isInterrupted } from './interrupt.ts';
import { OriginProcess } from './origin-process.ts';
import { WrongUse } from './scenario.ts';

const USAGE = `forebay demo [--input PATH] [--nodes N] [--seconds N] [--json]

  A file, or the files of a folder, go from a slow origin to several nodes at
  once: each straight from the origin, then through a Forebay cluster, again,
  with a node killed midway, and after a restart. About a minute.

  --input PATH   your own file or folder (default: the Node executable)
  --nodes N      nodes, 2 to 8 (default: 4)
  --seconds N    how slow the origin is: reading directly takes about this long
                 (default: 12)
  --json         one line of JSON instead of the table
`;

const BUCKET = 'lake';
/** The same files under other names: other objects, as cold as the first ones were. */
const SECOND = 'second/';
const MB = 1e6;
const SHOW_MS = 100;

/** Overwrites one line of a terminal; silent elsewhere. */
function status(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

const bar = (fraction: number) => {
  const full = Math.round(Math.min(1, fraction) * 30);
  return `${'█'.repeat(full)}${'░'.repeat(30 - full)}`;
};

const HEAD = ['', 'seconds', 'MB/s', 'origin GETs', 'origin MB', 'SHA-256'] as const;

function line(cells: readonly string[]): string {
  const widths = [-26, 8, 8, 13, 11, 13];
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

/** What the table says, in one sentence. */
function conclusion(phases: readonly Phase[], sizeBytes: number): string {
  const [direct, cold, , killed] = phases as [Phase, Phase, Phase, Phase];
  const copies = (phase: Phase) => (phase.origin.getBytes / Math.max(1, sizeBytes)).toFixed(1);
  return [
    `Without Forebay ${direct.finished} nodes waited ${direct.seconds.toFixed(1)} s and the origin sent ${copies(direct)} copies;`,
    `with it they waited ${cold.seconds.toFixed(1)} s, the origin sent ${copies(cold)}, and when a node was`,
    `killed midway the other ${killed.finished} still got every byte right.`,
  ].join('\n');
}

interface DemoOptions {
  readonly path: string;
  readonly nodes: number;
  readonly directSeconds: number;
  readonly json: boolean;
}

/** The phases one after the other, each told as it is done. */
class Demo {
  readonly phases: Phase[] = [];
  readonly #options: DemoOptions;
  readonly #inputs: readonly DemoInput[];
  readonly #origin: OriginProcess;

  constructor(options: DemoOptions, inputs: readonly DemoInput[], origin: OriginProcess) {
    this.#options = options;
    this.#inputs = inputs;
    this.#origin = origin;
  }

  say(text: string): void {
    if (!this.#options.json) process.stdout.write(`${text}\n`);
  }

  get sizeBytes(): number {
    return this.#inputs.reduce((sum, input) => sum + input.sizeBytes, 0);
  }

  async run(
    name: string,
    places: readonly Place[],
    options: { prefix?: string; onBytes?: (bytes: readonly number[]) => void } = {},
  ): Promise<void> {
    const total = places.length * this.sizeBytes;
    let shownAtMs = 0;
    const phase = await runPhase(name, places, {
      bucket: BUCKET,
      inputs: this.#inputs,
      origin: this.#origin,
      ...(options.prefix !== undefined && { prefix: options.prefix }),
      onBytes(bytes) {
        options.onBytes?.(bytes);
        if (performance.now() - shownAtMs < SHOW_MS) return;
        shownAtMs = performance.now();
        const fraction = bytes.reduce((sum, one) => sum + one, 0) / total;
        status(`${name.padEnd(26)} ${bar(fraction)} ${Math.round(100 * fraction)} %`);
      },
    });
    status('');
    this.phases.push(phase);
    this.say(rowOf(phase));
  }

  /** When half of all bytes have come, the node that has the fewest is killed. */
  async runWithKill(name: string, nodes: readonly DevNode[]): Promise<void> {
    const half = (nodes.length * this.sizeBytes) / 2;
    let killed: number | undefined;
    const places = nodes.map((node, index) => ({ ...placeOf(node), mayFail: () => index === killed }));
    await this.run(name, places, {
      prefix: SECOND,
      onBytes(bytes) {
        if (killed !== undefined || bytes.reduce((sum, one) => sum + one, 0) < half) return;
        killed = bytes.indexOf(Math.min(...bytes));
        process.kill((nodes[killed] as DevNode).pid, 'SIGKILL');
      },
    });
  }
}

const placeOf = ({ doors }: DevNode): Place => ({ endpoint: `http://${doors.s3}` });

async function runDemo(options: DemoOptions): Promise<readonly Phase[]> {
  await using stack = new AsyncDisposableStack();
  cleanUpOnInterrupt(stack, () => status(''));
  status(`reading ${basename(options.path)}…`);
  const inputs = await inputsOf(options.path);
  const sizeBytes = inputs.reduce((sum, input) => sum + input.sizeBytes, 0);
  const bytesPerS = Math.max(MB, Math.round((options.nodes * sizeBytes) / options.directSeconds / MB) * MB);
  const directory = mkdtempSync(join(tmpdir(), 'forebay-demo-'));
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  const files = Object.fromEntries(
    inputs.flatMap(({ key, path }) => [
      [key, path],
      [`${SECOND}${key}`, path],
    ]),
  );
  const origin = await OriginProcess.start({ bucket: BUCKET, files, bytesPerS });
  stack.defer(() => origin.stop());
  const demo = new Demo(options, inputs, origin);
  const what = inputs.length === 1 ? inputs[0]?.key : `${inputs.length} files of ${basename(options.path)}`;
  status('');
  demo.say(
    `${what}, ${(sizeBytes / MB).toFixed(0)} MB, to ${options.nodes} nodes at once; the origin gives ${bytesPerS / MB} MB/s\n`,
  );
  demo.say(line(HEAD));
  await demo.run(
    'each from the origin',
    Array.from({ length: options.nodes }, () => ({ endpoint: origin.endpoint })),
  );
  const start = async () => {
    status(`starting a cluster of ${options.nodes} nodes…`);
    const cluster = await DevCluster.start({
      nodes: options.nodes,
      directory: join(directory, 'cluster'),
      volume: `${BUCKET}=s3://${BUCKET}`,
      settings: [
        `volumes.${BUCKET}.endpoint=${origin.endpoint}`,
        `volumes.${BUCKET}.region=us-east-1`,
        `node.capacity=${Math.ceil((3 * sizeBytes) / 2 ** 30) || 1}GiB`,
      ],
      environment: { AWS_ACCESS_KEY_ID: 'demo', AWS_SECRET_ACCESS_KEY: 'demo' },
    });
    stack.defer(() => cluster.stop());
    status('');
    return cluster;
  };
  const cluster = await start();
  const places = cluster.nodes.map(placeOf);
  await demo.run('Forebay, cold', places);
  await demo.run('Forebay, warm', places);
  await demo.runWithKill('Forebay, a node killed', cluster.nodes);
  status('restarting the cluster…');
  await cluster.stop();
  await demo.run('Forebay, after restart', (await start()).nodes.map(placeOf));
  demo.say(`\n${conclusion(demo.phases, sizeBytes)}`);
  return demo.phases;
}

function optionsOf(argv: readonly string[]): DemoOptions | 'help' {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      input: { type: 'string', default: process.execPath },
      nodes: { type: 'string', default: '4' },
      seconds: { type: 'string', default: '12' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const nodes = Number(values.nodes);
  if (!(Number.isInteger(nodes) && nodes >= 2 && nodes <= 8)) throw new WrongUse('--nodes is 2 to 8');
  const directSeconds = Number(values.seconds);
  if (!(directSeconds > 0 && directSeconds <= 600)) throw new WrongUse('--seconds is above 0, up to 600');
  return { path: resolve(values.input), nodes, directSeconds, json: values.json };
}

/** Exit code 0: every byte was right; 1: something failed; 2: wrong use. */
export async function demoMain(argv: readonly string[]): Promise<number> {
  try {
    const options = optionsOf(argv);
    if (options === 'help') {
      process.stdout.write(USAGE);
      return 0;
    }
    const phases = await runDemo(options);
    if (options.json) process.stdout.write(`${JSON.stringify({ nodes: options.nodes, phases })}\n`);
    return 0;
  } catch (error) {
    if (isInterrupted()) return new Promise(() => undefined); // ends when all is cleaned up
    const wrongUse = error instanceof WrongUse || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
    status('');
    process.stderr.write(`forebay demo: ${(error as Error).message}\n${wrongUse ? `\n${USAGE}` : ''}`);
    return wrongUse ? 2 : 1;
  }
}

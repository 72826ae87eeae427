/** A million keys in one kv volume of one node: how long they take to be put, what a key costs in memory, how soon they are back after kill -9. */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Daemon } from '../daemon.ts';
import { shown, single } from '../result.ts';
import { Bench } from './local-nodes.ts';
import type { Part } from './part.ts';
import { RespClient } from './resp-client.ts';
import { respOf } from './rig.ts';

const KEYS = 1_000_000;
const VALUE_BYTES = 100;
/** As long as those of LMCache. */
const KEY_BYTES = 76;
/** `keyMemoryBytes`: what a key is counted for against `node.memory`. */
const KEY_MEMORY_MAX_BYTES = 640;
const SHARE_BYTES = 512 * 2 ** 20;
const BATCH = 1000;
const IN_FLIGHT = 4;
const OK = '+OK\r\n';
/** What starting leaves behind is collected by then, as far as it is. */
const SETTLE_MS = 5000;
const CHECKED = 1000;

const keyOf = (index: number): string => String(index).padStart(KEY_BYTES, 'k');
const textAt = (index: number): string => String(index).padEnd(VALUE_BYTES, 'v');

function batchAt(from: number): string {
  let text = '';
  for (let index = from; index < from + BATCH; index += 1)
    text += `*3\r\n$3\r\nSET\r\n$${KEY_BYTES}\r\n${keyOf(index)}\r\n$${VALUE_BYTES}\r\n${textAt(index)}\r\n`;
  return text;
}

/** Puts all keys over one connection, some batches ahead of the answers. */
async function fill(host: string, note: (done: number) => void): Promise<void> {
  const [address, port] = host.split(':') as [string, string];
  const socket = connect({ host: address, port: Number(port), noDelay: true });
  try {
    let [sent, answered] = [0, 0];
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const more = () => {
      for (; sent < KEYS && sent * OK.length < answered + IN_FLIGHT * BATCH * OK.length; sent += BATCH)
        socket.write(batchAt(sent), 'latin1');
    };
    socket.setEncoding('latin1').on('error', reject).on('connect', more);
    socket.on('close', () => reject(new Error('the node closed the connection')));
    socket.on('data', (text: string) => {
      if (text.includes('-')) reject(new Error(`a SET was answered with ${text.slice(text.indexOf('-'), 200)}`));
      answered += text.length;
      if (answered >= KEYS * OK.length) resolve();
      note(Math.floor(answered / OK.length));
      more();
    });
    await promise;
  } finally {
    socket.destroy();
  }
}

async function check(daemon: Daemon): Promise<void> {
  const client = await RespClient.connect(respOf(daemon));
  try {
    const count = await client.do(['DBSIZE']);
    if (count !== KEYS) throw new Error(`${String(count)} of ${KEYS} keys are there`);
    for (let index = 0; index < KEYS; index += KEYS / CHECKED) {
      const value = await client.do(['GET', keyOf(index)]);
      if (!(value instanceof Uint8Array) || Buffer.from(value).toString() !== textAt(index))
        throw new Error(`the value of key ${index} is another`);
    }
  } finally {
    client.close();
  }
}

export const keysPart: Part = {
  figures: ['keysMillion'],
  isExtra: true,
  async run(options, progress) {
    progress.say('a million keys in one volume');
    await using bench = await Bench.open(2 * SHARE_BYTES, options.directory);
    const first = await bench.startNode('forebay', SHARE_BYTES);
    await sleep(SETTLE_MS);
    const emptyBytes = first.memory().residentBytes;
    const from = performance.now();
    await fill(respOf(first), (done) => progress.say('keys', done, KEYS));
    const fillS = (performance.now() - from) / 1000;
    const cpuS = first.cpuSeconds();
    await sleep(SETTLE_MS);
    await check(first);
    const filledBytes = first.memory().residentBytes;
    await first.kill();
    const second = await bench.startNode('forebay', SHARE_BYTES);
    await sleep(SETTLE_MS);
    const againBytes = second.memory().residentBytes;
    await check(second);
    const perKey = (bytes: number) => (bytes - emptyBytes) / KEYS;
    return {
      figures: {
        keysMillionFillS: single(fillS, 's', { beside: `${shown((1e6 * cpuS) / KEYS)} µs of CPU per SET, pipelined` }),
        keysMillionBytes: single(perKey(againBytes), 'bytes', {
          target: { atMost: KEY_MEMORY_MAX_BYTES },
          beside: `resident per key of ${KEY_BYTES} bytes after a restart; ${shown(perKey(filledBytes))} before, values in memory and garbage included`,
        }),
        keysMillionRestartS: single(second.startSeconds, 's', { beside: 'from the command to served, after kill -9' }),
      },
      trials: { keys: [{ fillS, cpuS, emptyBytes, filledBytes, againBytes, restartS: second.startSeconds }] },
    };
  },
};

/** A client of one node: RESP for values, HTTP for lookups that name their lease. */
import { Agent, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { firstWrong, PATTERN_SLICE_MAX_BYTES, patternSlice, patternSlices } from '../pattern.ts';
import type { NodeDoors } from './kv-command.ts';
import { RespError } from './replies.ts';
import { RespClient } from './resp-client.ts';

export interface Value {
  readonly key: string;
  readonly seed: number;
  readonly sizeBytes: number;
}

export class KvClient {
  readonly #resp: RespClient;
  readonly #doors: NodeDoors;
  readonly #volume: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  private constructor(resp: RespClient, doors: NodeDoors, volume: string) {
    this.#resp = resp;
    this.#doors = doors;
    this.#volume = volume;
  }

  static async connect(doors: NodeDoors, volume: string): Promise<KvClient> {
    return new KvClient(await RespClient.connect(doors.resp), doors, volume);
  }

  /** How many leading keys are there, leased for so long. */
  async lookup(keys: readonly string[], leaseMs: number): Promise<number> {
    const body = JSON.stringify({ keys, leaseMs });
    const [host, port] = this.#doors.admin.split(':');
    return new Promise((resolve, reject) => {
      const asked = request({
        host,
        port,
        path: `/v1/kv/${this.#volume}/lookup`,
        method: 'POST',
        agent: this.#agent,
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
      });
      asked.on('error', reject).on('response', (response) => {
        text(response)
          .then((said) => {
            if (response.statusCode !== 200) throw new Error(`lookup: ${response.statusCode}: ${said}`);
            resolve((JSON.parse(said) as { leading: number }).leading);
          }, reject)
          .catch(reject);
      });
      asked.end(body);
    });
  }

  /** Which of the values are there, in their order. Throws when one has a wrong byte, or is not whole. */
  async get(values: readonly Value[]): Promise<boolean[]> {
    return readValues(this.#resp, values);
  }

  /** How many were refused, for want of room or by a disk that does not answer: a cache may do that. */
  async put(values: readonly Value[]): Promise<number> {
    const refused = await Promise.all(
      values.map(async ({ key, seed, sizeBytes }) => {
        try {
          await this.#resp.do(['SET', key, valueBytes(seed, sizeBytes)]);
          return 0;
        } catch (error) {
          if (error instanceof RespError) return 1;
          throw error;
        }
      }),
    );
    return refused.reduce<number>((sum, one) => sum + one, 0);
  }

  close(): void {
    this.#resp.close();
    this.#agent.destroy();
  }
}

/** The bytes of a value, without a copy where it is no longer than a slice of the pattern. */
export function valueBytes(seed: number, sizeBytes: number): Buffer {
  if (sizeBytes <= PATTERN_SLICE_MAX_BYTES) return patternSlice(seed, 0, sizeBytes);
  return Buffer.concat([...patternSlices(seed, sizeBytes)]);
}

/** One MGET; every byte is compared as it comes. */
export async function readValues(resp: RespClient, values: readonly Value[]): Promise<boolean[]> {
  if (values.length === 0) return [];
  let wrong: string | undefined;
  const reply = await resp.do(['MGET', ...values.map(({ key }) => key)], (index, at, piece) => {
    const { key, seed } = values[index] as Value;
    const wrongAt = firstWrong(seed, at, piece);
    if (wrongAt !== undefined) wrong ??= `${key}: wrong byte at ${wrongAt}`;
  });
  if (wrong !== undefined) throw new Error(wrong);
  if (!Array.isArray(reply) || reply.length !== values.length) throw new Error('MGET: not an answer for each key');
  return values.map(({ key, sizeBytes }, i) => {
    const length = reply[i] as number | null;
    if (length !== null && length !== sizeBytes) throw new Error(`${key}: ${length} bytes instead of ${sizeBytes}`);
    return length !== null;
  });
}

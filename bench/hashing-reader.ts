/** A client that reads whole objects over one keep-alive connection and hashes what it gets: every byte counts. */
import { createHash } from 'node:crypto';
import { Agent, get, type IncomingMessage } from 'node:http';

export class HashingReader {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #endpoint: string;

  constructor(endpoint: string) {
    this.#endpoint = endpoint;
  }

  /** SHA-256 in hex of the object's bytes. Rejects on any answer but a whole 200. */
  async read(bucket: string, key: string, onBytes: (bytes: number) => void = () => {}): Promise<string> {
    const path = [bucket, ...key.split('/')].map(encodeURIComponent).join('/');
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      get(`${this.#endpoint}/${path}`, { agent: this.#agent }, resolve).once('error', reject);
    });
    if (response.statusCode !== 200) {
      response.resume();
      throw new Error(`${key}: the answer is ${response.statusCode}`);
    }
    const digest = createHash('sha256');
    let bytes = 0;
    for await (const piece of response) {
      digest.update(piece as Buffer);
      bytes += (piece as Buffer).length;
      onBytes((piece as Buffer).length);
    }
    if (bytes !== Number(response.headers['content-length'])) throw new Error(`${key}: the body was cut`);
    return digest.digest('hex');
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** What an agent does on its host. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttpServer, request as httpRequest, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { RawReader } from '../raw-reader.ts';
import { type Done, monotonicMs, type Received, type Sample } from './agent-command.ts';

const SAMPLE_MS = 100;
const SOURCE_BYTES = 256 * 1024;
const READ_BUFFER_BYTES = 1 << 20;
const ARIA_POLL_MS = 25;
/** How often BitTorrent clients may ask again; they know everyone from the first answer. */
const ANNOUNCE_S = 60;

/** Notes progress now and then, and passes it on. */
class Sampler {
  readonly samples: Sample[] = [];
  readonly fromMs = monotonicMs();
  readonly #onBytes: (bytes: number) => void;

  constructor(onBytes: (bytes: number) => void) {
    this.#onBytes = onBytes;
    this.samples.push([this.fromMs, 0]);
  }

  at(bytes: number): void {
    const nowMs = monotonicMs();
    if (nowMs - (this.samples.at(-1) as Sample)[0] < SAMPLE_MS) return;
    this.samples.push([nowMs, bytes]);
    this.#onBytes(bytes);
  }

  done(bytes: number, sha256?: string): Done {
    const toMs = monotonicMs();
    this.samples.push([toMs, bytes]);
    this.#onBytes(bytes);
    return { fromMs: this.fromMs, toMs, samples: this.samples, ...(sha256 !== undefined && { sha256 }) };
  }
}

async function listen(server: Server, address: string): Promise<number> {
  server.listen(0, address);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

export function source(address: string): Promise<number> {
  const piece = Buffer.alloc(SOURCE_BYTES, 1);
  return listen(
    createServer((socket) => {
      const more = () => {
        while (socket.writable && socket.write(piece));
      };
      socket.on('error', () => undefined).on('drain', more);
      more();
    }),
    address,
  );
}

export async function receive(from: string, forMs: number): Promise<Received> {
  const [host, port] = from.split(':') as [string, string];
  const { promise, resolve, reject } = Promise.withResolvers<Received>();
  const buffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
  let bytes = 0;
  let fromMs = 0;
  const socket = connect({
    host,
    port: Number(port),
    onread: {
      buffer,
      callback(came) {
        const nowMs = monotonicMs();
        if (fromMs === 0) fromMs = nowMs;
        else bytes += came;
        if (nowMs - fromMs < forMs) return true;
        resolve({ bytes, ms: nowMs - fromMs });
        socket.destroy();
        return false;
      },
    },
  });
  socket.on('error', reject).on('close', () => reject(new Error('the source closed the connection')));
  return promise;
}

export async function read(
  { host, path, sizeBytes }: { host: string; path: string; sizeBytes: number },
  onBytes: (bytes: number) => void,
): Promise<Done> {
  const digest = createHash('sha256');
  const sampler = new Sampler(onBytes);
  let bytes = 0;
  const reader = new RawReader(host, { bufferBytes: READ_BUFFER_BYTES });
  await reader.connect();
  try {
    await reader.read({
      path,
      start: 0,
      end: sizeBytes,
      onPiece(piece) {
        digest.update(piece);
        bytes += piece.length;
        sampler.at(bytes);
      },
    });
  } finally {
    reader.close();
  }
  // Hashing goes along with reading; only its last few blocks are left now.
  return sampler.done(bytes, digest.digest('hex'));
}

async function answer(url: string, body: unknown): Promise<IncomingMessage> {
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const request = httpRequest(url, {
    method: payload === undefined ? 'GET' : 'POST',
    agent: false,
    ...(payload !== undefined && {
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) },
    }),
  });
  request.end(payload);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  if (response.statusCode !== 200) throw new Error(`${url}: ${response.statusCode}: ${await text(response)}`);
  return response;
}

export async function ask(url: string, body: unknown): Promise<string> {
  return text(await answer(url, body));
}

interface WarmLine {
  readonly bytesDone?: number;
  readonly failed?: readonly { key: string; message: string }[];
  readonly done?: true;
  readonly error?: { readonly message?: string };
}

export async function warm(admin: string, body: unknown, onBytes: (bytes: number) => void): Promise<Done> {
  const sampler = new Sampler(onBytes);
  let bytes = 0;
  for await (const line of createInterface({ input: await answer(`http://${admin}/v1/warm`, body) })) {
    const said = JSON.parse(line) as WarmLine;
    if (said.error) throw new Error(`warm: ${said.error.message}`);
    if (said.failed?.[0]) throw new Error(`warm: ${said.failed[0].key}: ${said.failed[0].message}`);
    if (said.done) return sampler.done(bytes);
    bytes = said.bytesDone ?? bytes;
    sampler.at(bytes);
  }
  throw new Error('warm: the node ended its answer early');
}

/** Compact peers (BEP 23): four bytes of address, two of port. */
function compact(peers: readonly string[]): Buffer {
  return Buffer.concat(
    peers.map((peer) => {
      const [address, port] = peer.split(':') as [string, string];
      return Buffer.from([...address.split('.').map(Number), Number(port) >> 8, Number(port) & 255]);
    }),
  );
}

export function track(address: string, peers: readonly string[]): Promise<number> {
  const list = compact(peers);
  const body = Buffer.concat([
    Buffer.from(`d8:intervali${ANNOUNCE_S}e12:min intervali${ANNOUNCE_S}e5:peers${list.length}:`),
    list,
    Buffer.from('e'),
  ]);
  return listen(
    createHttpServer((_, response) => response.end(body)),
    address,
  );
}

interface AriaStatus {
  readonly gid: string;
  readonly completedLength: string;
  readonly totalLength: string;
  readonly seeder?: string;
  readonly errorMessage?: string;
}

/** One call of aria2's JSON-RPC. */
async function aria<T>(rpc: string, method: string, ...params: unknown[]): Promise<T> {
  const url = `http://${rpc}/jsonrpc`;
  const { result } = JSON.parse(await ask(url, { jsonrpc: '2.0', id: 1, method: `aria2.${method}`, params })) as {
    result: T;
  };
  return result;
}

export async function torrent(rpc: string, onBytes: (bytes: number) => void): Promise<Done> {
  const [waiting] = await aria<AriaStatus[]>(rpc, 'tellWaiting', 0, 1);
  if (waiting === undefined) throw new Error('aria2 has no download that waits');
  const sampler = new Sampler(onBytes);
  await aria(rpc, 'unpause', waiting.gid);
  for (;;) {
    const status = await aria<AriaStatus>(rpc, 'tellStatus', waiting.gid);
    if (status.errorMessage) throw new Error(`aria2: ${status.errorMessage}`);
    const [done, total] = [Number(status.completedLength), Number(status.totalLength)];
    if (total > 0 && done === total) return sampler.done(done);
    sampler.at(done);
    await sleep(ARIA_POLL_MS);
  }
}

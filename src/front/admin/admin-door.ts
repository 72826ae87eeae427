/**
 * The admin door: JSON for people, scripts and the console, metrics for Prometheus, health for orchestrators.
 *
 * `/healthz` and `/readyz` are open and touch no disk: they answer as long as the process turns. Everything else takes
 * `Authorization: Bearer ID:SECRET`; reading needs the right `read` on the volume, changing what is kept needs `admin`.
 * Errors are JSON `{code, message, hint}`. Long work streams JSON lines and stops when the client goes away.
 *
 * Bounds: adminBodyMaxBytes, adminConnectionsMax, requestHeadMaxBytes, eventListenersMax.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AdoptProgress, AdoptRequest } from '../../adopt/adoption.ts';
import { ForebayError } from '../../core/errors.ts';
import {
  adminConnectionsMax,
  clientIdleMs,
  doorCloseMs,
  eventHeartbeatMs,
  keepAliveIdleMs,
  requestHeadMaxBytes,
} from '../../core/limits.ts';
import type { Clock } from '../../io/io.ts';
import type { EventFeed } from '../../observe/event-feed.ts';
import type { Emit } from '../../observe/events.ts';
import type { Reader } from '../../read/reader.ts';
import type { WritesRequest } from '../../write/writes-listing.ts';
import type { AccessKey, Credentials } from '../credentials.ts';
import { sendError, sendEvents, sendJson, sendLines, sendText } from './answer.ts';
import { type Call, demand, demandObjects, type NamedOperation, type Operation } from './call.ts';
import { type CheckpointParts, checkpointOperations } from './checkpoint-operations.ts';
import { type DrainAdmin, drainOperations } from './drain-operations.ts';
import { authenticate, checkHost } from './guard.ts';
import {
  ADOPT,
  bodyOf,
  CHECK,
  checked,
  EVENTS,
  EVICT,
  EXPLAIN,
  NOTHING,
  OBJECTS,
  PIN,
  queryOf,
  selectionOf,
  WARM,
  WRITES,
} from './inputs.ts';
import { KvOperations, type KvParts } from './kv-operations.ts';
import type { NodeStatus, Readiness } from './node-status.ts';

export interface AdminDoorOptions {
  readonly reader: Reader;
  readonly credentials: Credentials;
  readonly clock: Clock;
  readonly emit: Emit;
  readonly feed: EventFeed;
  /** Names, in lower case, under which this node may be reached besides `localhost` and IP addresses. */
  readonly hosts: readonly string[];
  readonly status: () => NodeStatus;
  readonly readiness: () => Readiness;
  /** Prometheus's text format. */
  readonly metrics: () => Promise<string>;
  /** Absent where no volume of this node is staged. */
  readonly checkpoints?: CheckpointParts;
  /** Takes over the files of a directory, while it is listened to; absent as `writes`. */
  readonly adopt?: (request: AdoptRequest, signal: AbortSignal) => AsyncIterable<AdoptProgress>;
  /** What is on its way to the origin; absent where no volume of this node is staged. */
  readonly writes?: (request: WritesRequest, signal: AbortSignal) => Promise<object>;
  readonly drain?: DrainAdmin;
  /** Absent where no kv volume is configured. */
  readonly kv?: KvParts;
}

/** The server does not listen yet. `close` stops accepting, ends event streams, and lets requests finish for `doorCloseMs`. */
export function createAdminDoor(options: AdminDoorOptions): { readonly server: Server; close(): Promise<void> } {
  const closing = new AbortController();
  const door = new AdminDoor(options, closing.signal);
  const server = createServer(
    {
      maxHeaderSize: requestHeadMaxBytes,
      headersTimeout: clientIdleMs,
      // A large body may take its time while it comes: `endIdleBody` looks after those that do not.
      requestTimeout: 0,
      keepAliveTimeout: keepAliveIdleMs,
    },
    (request, response) => void door.answer(request, response),
  );
  server.maxConnections = adminConnectionsMax;
  return {
    server,
    async close() {
      closing.abort(new ForebayError('shuttingDown', 'the node is stopping'));
      if (!server.listening) return;
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      server.closeIdleConnections();
      const patience = new AbortController();
      const cut = options.clock.sleep(doorCloseMs, patience.signal).then(
        () => server.closeAllConnections(),
        () => undefined,
      );
      await closed.promise;
      patience.abort();
      await cut;
    },
  };
}

class AdminDoor {
  readonly #options: AdminDoorOptions;
  readonly #hosts: ReadonlySet<string>;
  readonly #closing: AbortSignal;
  readonly #operations: ReadonlyMap<string, NamedOperation>;
  readonly #kv: KvOperations;
  readonly #isKv: (volume: string) => boolean;

  constructor(options: AdminDoorOptions, closing: AbortSignal) {
    this.#options = options;
    this.#hosts = new Set(options.hosts.map((name) => name.toLowerCase()));
    this.#closing = closing;
    this.#kv = new KvOperations(options.kv);
    this.#isKv = (volume) => options.kv?.kv.volumes.has(volume) ?? false;
    const get = (name: string, run: Operation) => ({ method: 'GET', name, run });
    const post = (name: string, run: Operation) => ({ method: 'POST', name, run });
    this.#operations = new Map<string, NamedOperation>([
      ...drainOperations(options.drain),
      ...checkpointOperations(options.checkpoints),
      ['/metrics', get('metrics', (call) => this.#metrics(call))],
      ['/v1/status', get('status', (call) => this.#status(call))],
      ['/v1/volumes', get('volumes', (call) => this.#volumes(call))],
      ['/v1/objects', get('objects', (call) => this.#objects(call))],
      ['/v1/writes', get('writes', (call) => this.#writes(call))],
      ['/v1/events', get('events', (call) => this.#events(call))],
      ['/v1/warm', post('warm', (call) => this.#warm(call))],
      ['/v1/adopt', post('adopt', (call) => this.#adopt(call))],
      ['/v1/check', post('check', (call) => this.#check(call))],
      ['/v1/evict', post('evict', (call) => this.#evict(call))],
      ['/v1/pin', post('pin', (call) => this.#pin(call))],
      ['/v1/explain', post('explain', (call) => this.#explain(call))],
    ]);
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { clock, emit } = this.#options;
    const fromMs = clock.boottimeMs();
    let name = 'unknown';
    let bytes = 0;
    const gone = new AbortController();
    endIdleBody(request);
    response.on('close', () => gone.abort(new Error('the client went away')));
    response.on('error', () => gone.abort(new Error('the connection failed')));
    try {
      const url = URL.parse(request.url ?? '', 'http://forebay');
      if (!url) throw new ForebayError('invalidRequest', 'the request line names no path');
      if (url.pathname === '/healthz' || url.pathname === '/readyz') {
        name = url.pathname.slice(1);
        bytes = this.#health(request, response, name);
      } else {
        const operation = this.#kv.find(request.url ?? '', request.method ?? '') ?? this.#operations.get(url.pathname);
        if (operation) name = operation.name;
        const key = this.#admit(request);
        if (!operation) throw new ForebayError('noSuchPath', `there is no ${url.pathname.slice(0, 200)}`);
        if (operation.method !== request.method) {
          response.setHeader('allow', operation.method);
          throw new ForebayError('methodNotAllowed', `${url.pathname} takes ${operation.method}`);
        }
        bytes = await operation.run({ request, response, url, key, isKv: this.#isKv, signal: gone.signal });
      }
    } catch (error) {
      if (!gone.signal.aborted && !(error instanceof ForebayError))
        emit({
          kind: 'node.warning',
          message: `admin ${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
        });
      if (!gone.signal.aborted) bytes = sendError(response, error);
    }
    const status = gone.signal.aborted && !response.writableFinished ? 499 : response.statusCode;
    emit({ kind: 'door.request', door: 'admin', operation: name, status, bytes, ms: clock.boottimeMs() - fromMs });
  }

  #admit(request: IncomingMessage): AccessKey {
    try {
      checkHost(request, this.#hosts);
      return authenticate(request, this.#options.credentials);
    } catch (error) {
      if (error instanceof ForebayError)
        this.#options.emit({ kind: 'door.refused', door: 'admin', reason: error.code });
      throw error;
    }
  }

  #health(request: IncomingMessage, response: ServerResponse, name: string): number {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      throw new ForebayError('methodNotAllowed', `/${name} takes GET`);
    }
    if (name === 'healthz') return sendJson(response, 200, { ok: true });
    const readiness = this.#closing.aborted ? { ready: false, reasons: ['stopping'] } : this.#options.readiness();
    return sendJson(response, readiness.ready ? 200 : 503, readiness);
  }

  async #metrics({ response }: Call): Promise<number> {
    return sendText(response, 200, 'text/plain; version=0.0.4; charset=utf-8', await this.#options.metrics());
  }

  #status({ url, response, key }: Call): number {
    checked(NOTHING, queryOf(url));
    const status = this.#options.status();
    return sendJson(response, 200, { ...status, volumes: visible(status, key) });
  }

  #volumes({ url, response, key }: Call): number {
    checked(NOTHING, queryOf(url));
    return sendJson(response, 200, { volumes: visible(this.#options.status(), key) });
  }

  async #objects({ url, response, key, signal }: Call): Promise<number> {
    const { delimiter, after, ...rest } = checked(OBJECTS, queryOf(url));
    demand(key, rest.volume, 'read');
    const request = { ...rest, ...(delimiter !== undefined && { delimiter }), ...(after !== undefined && { after }) };
    return sendJson(response, 200, await this.#options.reader.list(request, signal));
  }

  async #writes(call: Call): Promise<number> {
    const { after, ...rest } = checked(WRITES, queryOf(call.url));
    demandObjects(call, rest.volume, 'read');
    const { writes } = this.#options;
    if (writes === undefined) throw new ForebayError('invalidArgument', 'no volume of this node has writes of its own');
    const request = { ...rest, ...(after !== undefined && { after }) };
    return sendJson(call.response, 200, await writes(request, call.signal));
  }

  async #events({ url, response, key, signal }: Call): Promise<number> {
    const { kinds } = checked(EVENTS, queryOf(url));
    // Events name keys of every volume.
    demand(key, '*', 'admin');
    const either = AbortSignal.any([signal, this.#closing]);
    const batches = this.#options.feed.listen({
      signal: either,
      pause: (until) => this.#options.clock.sleep(eventHeartbeatMs, until),
      ...(kinds && { kinds: new Set(kinds.split(',')) }),
    });
    if (!batches) throw new ForebayError('overloaded', 'there are too many listeners to events');
    return sendEvents(response, batches, either);
  }

  async #warm({ request, response, key, signal }: Call): Promise<number> {
    const { to, nodes, ...given } = checked(WARM, await bodyOf(request));
    // `to` writes to the node's own file system.
    demand(key, given.volume, to === undefined ? 'read' : 'admin');
    const options = { signal, ...(to !== undefined && { to }), ...(nodes !== undefined && { nodes }) };
    return sendLines(response, this.#options.reader.warm(selectionOf(given), options), signal);
  }

  async #adopt(call: Call): Promise<number> {
    const given = checked(ADOPT, await bodyOf(call.request));
    // It reads the node's own file system.
    demandObjects(call, given.volume, 'admin');
    const { adopt } = this.#options;
    if (adopt === undefined) throw new ForebayError('invalidArgument', 'no volume of this node has writes of its own');
    const { response, signal } = call;
    return sendLines(response, adopt(given, AbortSignal.any([signal, this.#closing])), signal);
  }

  async #check({ request, response, key, signal }: Call): Promise<number> {
    const { verify, ...given } = checked(CHECK, await bodyOf(request));
    demand(key, given.volume, 'read');
    return sendLines(response, this.#options.reader.check(selectionOf(given), { verify, signal }), signal);
  }

  async #evict({ request, response, key }: Call): Promise<number> {
    const given = checked(EVICT, await bodyOf(request));
    demand(key, given.volume, 'admin');
    return sendJson(response, 200, await this.#options.reader.evict(selectionOf(given)));
  }

  async #pin({ request, response, key }: Call): Promise<number> {
    const { pinned, ...given } = checked(PIN, await bodyOf(request));
    demand(key, given.volume, 'admin');
    return sendJson(response, 200, await this.#options.reader.pin(selectionOf(given), pinned));
  }

  async #explain({ request, response, key }: Call): Promise<number> {
    const given = checked(EXPLAIN, await bodyOf(request));
    demand(key, given.volume, 'read');
    return sendJson(response, 200, await this.#options.reader.explain(given.volume, given.key));
  }
}

/** A body of which nothing comes for `clientIdleMs` ends its connection. */
function endIdleBody(request: IncomingMessage): void {
  const { headers, socket } = request;
  if ((headers['content-length'] ?? '0') === '0' && headers['transfer-encoding'] === undefined) return;
  request.setTimeout(clientIdleMs);
  request.once('end', () => socket.setTimeout(0));
}

function visible(status: NodeStatus, key: AccessKey) {
  return status.volumes.filter((volume) => key.volumes.includes('*') || key.volumes.includes(volume.name));
}

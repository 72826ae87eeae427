/**
 * HTTP to etcd's JSON gateway: several endpoints, one preferred until it fails; a token where there is a user; bounded
 * attempts. Knows nothing of keys. An attempt ends in an answer, in an error that etcd gave, or in a lost line.
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { abortReason, ForebayError } from '../../core/errors.ts';
import { coordinatorAttemptMs, coordinatorBytesPerS, coordinatorDeadlineMs } from '../../core/limits.ts';

/** How etcd is reached. Certificates and keys are PEM. */
export interface EtcdAccess {
  /** `http://host:port` or `https://host:port`. */
  readonly endpoints: readonly string[];
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly ca?: string | undefined;
  readonly certificate?: string | undefined;
  readonly key?: string | undefined;
}

/** etcd answered with an error: the request changed nothing, unless it is one of the transient kinds. */
export class EtcdError extends Error {
  override name = 'EtcdError';
  /** gRPC's number. */
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * No answer that counts. `maybeSent`: the request may have been, or may yet be, applied. `isRefusal`: the endpoint does
 * not let this process in, or is not who it should be; another one may.
 */
export class LineLost extends Error {
  override name = 'LineLost';
  readonly maybeSent: boolean;
  readonly isRefusal: boolean;

  constructor(message: string, { maybeSent = true, isRefusal = false } = {}) {
    super(message);
    this.maybeSent = maybeSent;
    this.isRefusal = isRefusal;
  }
}

/** Error codes of TLS when a certificate is not accepted, by either side. */
const CERTIFICATE_TROUBLE = /CERT|SELF_SIGNED|ISSUER|LEAF_SIGNATURE|SSL.*ALERT/;
const SHOWN_MAX = 200;

const SOCKETS_MAX = 32;
const ANSWER_MAX_BYTES = 64 << 20;
const LINE_MAX_BYTES = 16 << 20;
/** gRPC codes after which another attempt may succeed; the failed one may have been applied. */
const TRANSIENT = new Set([1, 2, 4, 8, 10, 13, 14, 15]);
const INVALID_ARGUMENT = 3;
const UNAUTHENTICATED = 16;

/** Errors for which a new token helps. */
function wantsToken(error: unknown): boolean {
  if (!(error instanceof EtcdError)) return false;
  return (
    error.code === UNAUTHENTICATED ||
    /invalid auth token|revision in header is old|auth store is old/.test(error.message)
  );
}

/** How much more time a request of so many bytes gets. */
export function sendingMs(bytes: number): number {
  return Math.round((bytes * 1000) / coordinatorBytesPerS);
}

export interface PostOptions {
  readonly signal?: AbortSignal | undefined;
  readonly attemptMs?: number;
}

interface Sent {
  readonly path: string;
  readonly body: string;
  readonly token: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly agent: HttpAgent | HttpsAgent;
  readonly signal: AbortSignal;
}

export class EtcdGateway {
  readonly #access: EtcdAccess;
  readonly #agent: HttpAgent | HttpsAgent;
  /** Watches keep their sockets to themselves. */
  readonly #streamAgent: HttpAgent | HttpsAgent;
  readonly #isTls: boolean;
  readonly #closed = new AbortController();
  #preferred = 0;
  #token: Promise<string> | undefined;

  constructor(access: EtcdAccess) {
    this.#access = access;
    this.#isTls = access.endpoints[0]?.startsWith('https:') ?? false;
    const { ca, certificate: cert, key } = access;
    const tls = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
    const agent = (keepAlive: boolean) =>
      this.#isTls
        ? new HttpsAgent({ keepAlive, maxSockets: SOCKETS_MAX, ...tls })
        : new HttpAgent({ keepAlive, maxSockets: SOCKETS_MAX });
    this.#agent = agent(true);
    this.#streamAgent = agent(false);
  }

  get endpoint(): string {
    return this.#access.endpoints[this.#preferred] as string;
  }

  /** Prefers another endpoint, unless somebody did so since `failed` was. */
  turnFrom(failed: string): void {
    if (this.endpoint === failed) this.#preferred = (this.#preferred + 1) % this.#access.endpoints.length;
  }

  /** One attempt at the preferred endpoint. Rejects with EtcdError, LineLost, `coordinatorRefused` or the signal's reason. */
  async attempt<T>(path: string, body: unknown, options: PostOptions = {}): Promise<T> {
    const text = JSON.stringify(body);
    return await this.#withToken((token) => this.#exchange<T>({ path, body: text, token }, options));
  }

  async #withToken<T>(act: (token: string | undefined) => Promise<T>): Promise<T> {
    if (this.#access.user === undefined) return await act(undefined);
    const used = (this.#token ??= this.#authenticate());
    used.catch(() => {
      if (this.#token === used) this.#token = undefined;
    });
    try {
      return await act(await used);
    } catch (error) {
      if (!wantsToken(error)) throw error;
      if (this.#token === used) this.#token = undefined;
      this.#token ??= this.#authenticate();
      return await act(await this.#token);
    }
  }

  async #authenticate(): Promise<string> {
    const { user, password } = this.#access;
    const body = JSON.stringify({ name: user, password: password ?? '' });
    try {
      const { token } = await this.#exchange<{ token: string }>(
        { path: '/v3/auth/authenticate', body, token: undefined },
        // etcd's hash of passwords is slow by design.
        { attemptMs: coordinatorDeadlineMs },
      );
      return token;
    } catch (error) {
      if (!(error instanceof EtcdError) || TRANSIENT.has(error.code)) throw error;
      throw new ForebayError('coordinatorRefused', `etcd refuses the user ${user}: ${error.message}`, { cause: error });
    }
  }

  async #exchange<T>(sent: Pick<Sent, 'path' | 'body' | 'token'>, { signal, attemptMs }: PostOptions): Promise<T> {
    const endpoint = this.endpoint;
    const late = new AbortController();
    const deadlineMs = (attemptMs ?? coordinatorAttemptMs) + sendingMs(sent.body.length);
    const timer = setTimeout(
      () => late.abort(new LineLost(`${endpoint} did not answer for ${deadlineMs} ms`)),
      deadlineMs,
    );
    const signals = [late.signal, this.#closed.signal, ...(signal ? [signal] : [])];
    try {
      const response = await this.#send(endpoint, { ...sent, agent: this.#agent, signal: AbortSignal.any(signals) });
      return parseAnswer<T>(endpoint, response.statusCode ?? 0, await whole(endpoint, response));
    } catch (error) {
      if (signal?.aborted) throw abortReason(signal);
      if (this.#closed.signal.aborted) throw abortReason(this.#closed.signal);
      if (late.signal.aborted) throw abortReason(late.signal);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Resolves with the head of the response. */
  #send(endpoint: string, { path, body, token, headers, agent, signal }: Sent): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const options = {
      method: 'POST',
      agent,
      signal,
      headers: {
        'content-type': 'application/json',
        'content-length': String(Buffer.byteLength(body)),
        ...(token !== undefined && { authorization: token }),
        ...headers,
      },
    };
    const request = (this.#isTls ? httpsRequest : httpRequest)(new URL(path, endpoint), options);
    let isConnected = false;
    request.on('socket', (socket) => {
      socket.setKeepAlive(true, 5000);
      // A socket used again is connected; a TLS one counts from its TCP connection on, to be safe.
      if (!socket.connecting) isConnected = true;
      else socket.once('connect', () => (isConnected = true));
    });
    request.on('response', resolve);
    request.on('error', (error: NodeJS.ErrnoException) => {
      const isRefusal = CERTIFICATE_TROUBLE.test(error.code ?? '');
      reject(new LineLost(`${endpoint}: ${error.message}`, { maybeSent: isConnected, isRefusal }));
    });
    request.end(body);
    return promise;
  }

  /**
   * A streaming request: the lines of its answer, parsed, until it ends, the line is lost (LineLost) or the signal
   * aborts. Asks the server to end it when it loses its leader.
   */
  async *stream(path: string, body: unknown, signal: AbortSignal): AsyncGenerator<unknown> {
    const endpoint = this.endpoint;
    const text = JSON.stringify(body);
    const stop = AbortSignal.any([signal, this.#closed.signal]);
    const headers = { 'grpc-metadata-hasleader': 'true' };
    const connecting = AbortSignal.any([stop, AbortSignal.timeout(coordinatorAttemptMs)]);
    const opened = new AbortController();
    const onStop = () => opened.abort(abortReason(connecting));
    connecting.addEventListener('abort', onStop, { once: true });
    const all = AbortSignal.any([stop, opened.signal]);
    const response = await this.#withToken(async (token) => {
      const answered = await this.#send(endpoint, {
        path,
        body: text,
        token,
        headers,
        agent: this.#streamAgent,
        signal: all,
      });
      if (answered.statusCode === 200) return answered;
      return parseAnswer<never>(endpoint, answered.statusCode ?? 0, await collect(endpoint, answered));
    });
    connecting.removeEventListener('abort', onStop);
    try {
      yield* lines(response);
    } catch (error) {
      if (stop.aborted) return;
      if (error instanceof EtcdError || error instanceof ForebayError) throw error;
      throw new LineLost(`${endpoint}: ${(error as Error).message}`);
    } finally {
      response.destroy();
    }
  }

  close(): void {
    this.#closed.abort(new ForebayError('shuttingDown', 'the coordinator is closed'));
    this.#agent.destroy();
    this.#streamAgent.destroy();
  }
}

/** Whether another attempt may succeed, and whether the failed one may have been applied. */
export function isTransient(error: unknown): boolean {
  return error instanceof LineLost || (error instanceof EtcdError && TRANSIENT.has(error.code) && !isDefinite(error));
}

/** Transient codes with messages that mean a definite no. */
function isDefinite({ message }: EtcdError): boolean {
  return /database space exceeded|message larger than max|request is too large/.test(message);
}

/** What an error of etcd means to callers. */
export function etcdFailure(error: unknown): Error {
  if (error instanceof LineLost) {
    const code = error.isRefusal ? 'coordinatorRefused' : 'coordinatorUnavailable';
    return new ForebayError(code, `etcd cannot be reached: ${error.message}`, { cause: error });
  }
  if (!(error instanceof EtcdError)) return error as Error;
  const options = { cause: error };
  if (/lease not found/.test(error.message))
    return new ForebayError('sessionLost', 'the session has ended: etcd does not know its lease', options);
  if (isTransient(error) || isDefinite(error))
    return new ForebayError('coordinatorUnavailable', `etcd fails: ${error.message}`, options);
  if (error.code === INVALID_ARGUMENT && /user name is empty/.test(error.message))
    return new ForebayError('coordinatorRefused', 'etcd wants a user and a password, and none are configured', options);
  return new ForebayError('coordinatorRefused', `etcd refuses: ${error.message}`, options);
}

async function collect(endpoint: string, response: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    length += piece.length;
    if (length > ANSWER_MAX_BYTES) throw new LineLost(`${endpoint} answered with more than ${ANSWER_MAX_BYTES} bytes`);
    pieces.push(piece);
  }
  if (!response.complete) throw new LineLost(`${endpoint} cut its answer short`);
  return Buffer.concat(pieces).toString('utf8');
}

async function whole(endpoint: string, response: IncomingMessage): Promise<string> {
  try {
    return await collect(endpoint, response);
  } catch (error) {
    if (error instanceof LineLost) throw error;
    throw new LineLost(`${endpoint}: ${(error as Error).message}`);
  }
}

function parseAnswer<T>(endpoint: string, status: number, text: string): T {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    const said = text.slice(0, SHOWN_MAX).trim();
    const isRefusal = status >= 400 && status < 500;
    throw new LineLost(`${endpoint} answered ${status} without JSON, is it etcd's client port? ${said}`, { isRefusal });
  }
  if (typeof answer !== 'object' || answer === null)
    throw new LineLost(`${endpoint} answered ${text.slice(0, SHOWN_MAX)}`);
  if (status === 200) return answer as T;
  throw errorOf(answer, `${endpoint} answered ${status}`);
}

/** The error in an answer: `{code, message}`, or `{error: {grpc_code, message}}` in a stream. */
export function errorOf(answer: unknown, otherwise: string): EtcdError {
  const { code, message, error } = (answer ?? {}) as { code?: number; message?: string; error?: unknown };
  if (typeof error === 'object' && error !== null) {
    const { grpc_code: inner = 2, message: said = otherwise } = error as { grpc_code?: number; message?: string };
    return new EtcdError(inner, said);
  }
  return new EtcdError(code ?? 2, message ?? (typeof error === 'string' ? error : otherwise));
}

async function* lines(response: IncomingMessage): AsyncGenerator<unknown> {
  let pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    let rest = piece;
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      pieces.push(rest.subarray(0, end));
      const line = Buffer.concat(pieces).toString('utf8');
      pieces = [];
      length = 0;
      rest = rest.subarray(end + 1);
      if (line.trim() !== '') yield JSON.parse(line);
    }
    pieces.push(rest);
    length += rest.length;
    if (length > LINE_MAX_BYTES) throw new Error(`a line of more than ${LINE_MAX_BYTES} bytes`);
  }
  const line = Buffer.concat(pieces).toString('utf8');
  if (line.trim() !== '') yield JSON.parse(line);
}

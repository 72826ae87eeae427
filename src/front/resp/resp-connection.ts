/**
 * One client's connection: requests are read, begun and answered in order. Requests that touch different keys, or only read,
 * may be under way together (`respPipelineMax`); all others wait for those before them.
 *
 * Nothing more is begun while the client does not take the answers it has, and nothing more is read while a request waits or
 * a value's put does not keep up: a slow client or a slow disk costs the bytes in flight and no more.
 */
import type { Socket } from 'node:net';
import { AssertionError } from '../../core/assert.ts';
import { BLOCK_SIZE_BYTES } from '../../core/chunk.ts';
import { respArgumentMaxBytes, respBodyAheadBytes, respPipelineMax } from '../../core/kv-limits.ts';
import { clientIdleMs, discardMaxBytes, lingerMs } from '../../core/limits.ts';
import type { File } from '../../io/io.ts';
import { ClientGone, clientGone } from '../http/client-gone.ts';
import type { WriteBatch } from '../http/write-batch.ts';
import { type Command, keysOf, type Shape } from './command.ts';
import { answerFailure } from './failures.ts';
import { IncomingValue } from './incoming-value.ts';
import { failure, Refusal } from './reply.ts';
import { type Argument, RequestParser } from './request-parser.ts';
import type { Session } from './session.ts';
import { type CallHost, UnderWay } from './under-way.ts';

/** What all connections of the door share. */
export interface RespHost {
  readonly batch: WriteBatch;
  /** The door's coarse clock. */
  nowMs(): number;
  find(name: Argument): Command | undefined;
  /** Throws Refusal where the command may not be run. */
  check(session: Session, args: readonly Argument[], command: Command | undefined, shape: Shape): void;
  /** Takes a place for a value that arrives piece by piece; false: `onFree` is called when there may be one. */
  takeBody(onFree: () => void): boolean;
  freeBody(): void;
  /** No place is wanted any more. */
  forget(onFree: () => void): void;
  /** Held bytes of a connection changed; false where the door's bound is passed. */
  hold(changeBytes: number): boolean;
  /** Values up to this are collected before they are put. */
  readonly wholeMaxBytes: () => number;
  done(call: UnderWay): void;
  refused(reason: string): void;
  broken(error: Error): void;
}

/** A request that was read, and may have to wait. */
interface Waiting {
  readonly command: Command | undefined;
  readonly args: Argument[];
  readonly tooLong: boolean;
  /** Its first value that is not collected. */
  readonly bodyLengthBytes: number | undefined;
}

export class RespConnection implements CallHost {
  readonly socket: Socket;
  readonly batch: WriteBatch;
  readonly session: Session;
  readonly #host: RespHost;
  readonly #parser: RequestParser;
  readonly #underWay: UnderWay[] = [];
  #waiting: Waiting | undefined = undefined;
  /** The request whose values are arriving. */
  #taking: UnderWay | undefined = undefined;
  /** Its value that arrives now; absent while the put is not ready for it. */
  #body: IncomingValue | undefined = undefined;
  #hasPlace = false;
  #working = false;
  /** No further request is begun. */
  #ending = false;
  #isGone = false;
  /** The network takes the bytes of a value off the socket. */
  #isLent = false;
  /** The client sends no more. */
  #hasEnded = false;
  #discarded = 0;
  #heldBytes = 0;
  #abort: AbortController | undefined = undefined;
  #sinceMs: number;
  #moved = 0;

  constructor(options: { socket: Socket; host: RespHost; session: Session }) {
    const { socket, host, session } = options;
    this.socket = socket;
    this.#host = host;
    this.batch = host.batch;
    this.session = session;
    this.#sinceMs = host.nowMs();
    this.#parser = new RequestParser({
      isValue: (name, index) => host.find(name)?.isValue?.(index) ?? false,
      wholeMaxBytes: host.wholeMaxBytes,
    });
    this.#parser.trusted = session.key !== undefined;
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('drain', this.#work);
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** Aborts when the connection is closed. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#isGone) this.#abort.abort(clientGone());
    }
    return this.#abort.signal;
  }

  /** No further request is taken; an idle connection closes now, a busy one after its answers. */
  finish(): void {
    this.#ending = true;
    if (this.#taking === undefined && this.#underWay.length === 0) this.#hangUp();
  }

  /**
   * Whether the client has done nothing for too long though it owes something: the rest of a request, reading its answers, or its name. A
   * client that owes nothing may stay: pools of clients keep connections for days.
   */
  isExpired(nowMs: number): boolean {
    const { socket } = this;
    const moved = socket.bytesRead + socket.bytesWritten;
    const isStreaming = this.#underWay.length > 0 && socket.writableLength === 0;
    const owes = this.#parser.isMidway || this.#taking !== undefined || socket.writableLength > 0;
    const isNameless = this.session.key === undefined;
    const isClientsTurn = (owes && !socket.isPaused() && !this.#isLent) || isNameless || this.#ending;
    const hasMoved = moved !== this.#moved && !isNameless;
    if (hasMoved || !isClientsTurn || (isStreaming && this.#taking === undefined)) {
      this.#moved = moved;
      this.#sinceMs = nowMs;
    }
    return nowMs - this.#sinceMs > (this.#ending ? lingerMs : clientIdleMs);
  }

  /** The socket is closed. */
  closed(): void {
    this.#isGone = true;
    this.#ending = true;
    this.#host.hold(-this.#heldBytes);
    this.#heldBytes = 0;
    const taking = this.#taking;
    this.#body = undefined;
    this.#taking = undefined;
    this.#host.forget(this.#work);
    if (taking !== undefined) {
      taking.body?.fail(clientGone());
      taking.answer.status = 499;
      this.#over(taking);
    }
    this.#abort?.abort(clientGone());
    // Whoever waits for its turn finds that the client is gone.
    for (const call of this.#underWay) call.answer.takeTurn();
  }

  readonly #onData = (data: Buffer): void => {
    if (this.#ending && this.#taking === undefined) {
      // Bytes behind the end are read, up to a bound, so that the client gets to see its last answer.
      this.#discarded += data.length;
      if (this.#discarded > discardMaxBytes) this.socket.destroy();
      return;
    }
    this.#parser.feed(data);
    this.#work();
  };

  /** A client that half-closes gets the answers to what it asked. */
  readonly #onEnd = (): void => {
    this.#hasEnded = true;
    if (this.#taking !== undefined) this.socket.destroy();
    else this.#work();
  };

  readonly #work = (): void => {
    if (this.#working || this.#isGone) return;
    this.#working = true;
    while (this.#step());
    this.#working = false;
    const isIdle = this.#waiting === undefined && this.#underWay.length === 0 && !this.socket.writableNeedDrain;
    if (this.#hasEnded && isIdle) this.#hangUp();
    else this.#adjust();
  };

  /** Reading goes on while what was read finds takers. */
  #adjust(): void {
    if (this.#isGone || this.#isLent || this.socket.destroyed) return;
    const { socket } = this;
    const held = this.#parser.heldBytes;
    const isFree = this.#host.hold(held - this.#heldBytes);
    this.#heldBytes = held;
    if (!isFree) {
      this.#host.refused('respInputMaxBytes');
      socket.destroy();
      return;
    }
    const body = this.#body;
    const isBehind = body !== undefined && (!body.isWanted || body.queuedBytes > respBodyAheadBytes);
    const isBlocked = this.#waiting !== undefined || this.#underWay.length >= respPipelineMax || this.#hasTakingNoBody;
    const isUnread = this.#parser.unreadBytes > respArgumentMaxBytes;
    const mustStop = isBehind || ((isBlocked || socket.writableNeedDrain) && isUnread);
    if (mustStop !== socket.isPaused()) {
      if (mustStop) socket.pause();
      else socket.resume();
    }
  }

  get #hasTakingNoBody(): boolean {
    return this.#taking !== undefined && this.#body === undefined;
  }

  /** One thing that can be done now; false where there is none. */
  #step(): boolean {
    if (this.#isGone || this.#isLent || this.socket.destroyed) return false;
    if (this.#waiting !== undefined) return this.#beginWaiting(this.#waiting);
    if (this.#body !== undefined) return this.#moveBody(this.#body);
    if (this.#taking !== undefined && this.#parser.bodyLeft > 0) return false;
    if (this.#ending && this.#taking === undefined) return false;
    if (this.socket.writableNeedDrain || this.#underWay.length >= respPipelineMax) return false;
    switch (this.#parser.next()) {
      case 'incomplete':
        return false;
      case 'error':
        this.#refuseProtocol(this.#parser.problem);
        return false;
      case 'request':
        this.#requestRead(undefined);
        return true;
      case 'body':
        this.#requestRead(this.#parser.bodyLengthBytes);
        return true;
      default:
        return false;
    }
  }

  /** A request is complete, or its next value that is not collected begins. */
  #requestRead(bodyLengthBytes: number | undefined): void {
    const { args, tooLong } = this.#parser;
    const taking = this.#taking;
    if (taking === undefined) {
      const command = this.#host.find(args[0] as Argument);
      this.#waiting = { command, args, tooLong, bodyLengthBytes };
    } else if (bodyLengthBytes !== undefined) this.#beginBody(taking, bodyLengthBytes);
    else {
      this.#taking = undefined;
      this.#run(taking, tooLong);
    }
  }

  #beginWaiting(waiting: Waiting): boolean {
    const { command, args, tooLong, bodyLengthBytes } = waiting;
    if (this.#underWay.length > 0 && (bodyLengthBytes !== undefined || !this.#mayBegin(command, args))) return false;
    if (bodyLengthBytes !== undefined && !this.#hasPlace) {
      if (!this.#host.takeBody(this.#work)) return false;
      this.#hasPlace = true;
    }
    this.#waiting = undefined;
    const call = this.#begin(command, args);
    if (bodyLengthBytes === undefined) this.#run(call, tooLong);
    else {
      this.#taking = call;
      this.#beginBody(call, bodyLengthBytes);
    }
    return true;
  }

  #mayBegin(command: Command | undefined, args: readonly Argument[]): boolean {
    if (command?.keys === undefined) return false;
    const keys = keysOf(command, args);
    return this.#underWay.every((call) => call.mayOverlap(command, keys));
  }

  #begin(command: Command | undefined, args: readonly Argument[]): UnderWay {
    const call = new UnderWay(this, { command, args, hasTurn: this.#underWay.length === 0 });
    this.#underWay.push(call);
    return call;
  }

  /** Runs a request whose arguments are all here. */
  #run(call: UnderWay, tooLong: boolean): void {
    try {
      if (call.failed !== undefined) throw call.failed;
      if (call.body === undefined || tooLong) this.#check(call, { count: call.args.length, tooLong });
      const work = call.command.run(call);
      if (work === undefined) this.#over(call);
      else
        work.then(
          () => this.#over(call),
          (error: unknown) => this.#failed(call, error),
        );
    } catch (error) {
      this.#failed(call, error);
    }
    this.#parser.trusted = this.session.key !== undefined;
  }

  #check(call: UnderWay, shape: Shape): void {
    this.#host.check(this.session, call.args, call.isKnown ? call.command : undefined, shape);
  }

  #failed(call: UnderWay, error: unknown): void {
    if (error instanceof AssertionError) {
      this.socket.destroy();
      process.nextTick(() => {
        throw error;
      });
      return;
    }
    if (this.#isGone || error instanceof ClientGone || call.answer.begun) {
      if (!this.#isGone && !(error instanceof ClientGone)) this.#host.broken(error as Error);
      call.answer.status = 499;
      this.socket.destroy();
    } else answerFailure(call.answer, error);
    this.#over(call);
  }

  /** Its answer is complete: the next one's turn. */
  #over(call: UnderWay): void {
    if (call.over) return;
    call.over = true;
    if (call.body !== undefined) this.#freePlace();
    this.#sinceMs = this.#host.nowMs();
    this.#host.done(call);
    if (call.answer.closes) this.#ending = true;
    while (this.#underWay[0]?.over === true) {
      this.#underWay.shift();
      this.#underWay[0]?.answer.takeTurn();
    }
    if (this.#isGone) return;
    if (this.#ending && this.#underWay.length === 0 && this.#taking === undefined) this.#hangUp();
    else if (!this.#working) this.#work();
  }

  /** A value begins that is not collected. Where it is not wanted it is read and thrown away, and `run` says why. */
  #beginBody(call: UnderWay, lengthBytes: number): void {
    const body: IncomingValue = new IncomingValue(lengthBytes, {
      onTaken: this.#work,
      receiveRest: (file, onBlock) => this.#receiveRest(call, { file, onBlock, lengthBytes }),
    });
    const isFirst = call.body === undefined;
    call.body = body;
    const take = () => {
      if (this.#taking !== call) return;
      this.#body = body;
      body.begin();
      this.#work();
    };
    const discard = (error: unknown) => {
      call.failed ??= error;
      body.discard();
      take();
    };
    if (call.failed !== undefined) {
      discard(call.failed);
      return;
    }
    try {
      if (isFirst) this.#check(call, { count: this.#parser.argumentCount, tooLong: false });
      call.command.onBody?.(call, body).then(take, discard);
    } catch (error) {
      discard(error);
    }
  }

  #moveBody(body: IncomingValue): boolean {
    if (!body.isWanted || body.queuedBytes > respBodyAheadBytes) return false;
    const bytes = this.#parser.takeBody();
    if (bytes !== undefined) {
      body.push(bytes);
      return true;
    }
    if (this.#parser.bodyLeft > 0) return false;
    return this.#endBody(body);
  }

  /** The value goes into a file, round JavaScript. When that fails nobody knows where the next request begins: the connection ends. */
  async #receiveRest(
    call: UnderWay,
    { file, onBlock, lengthBytes }: { file: File; onBlock: (block: number, sum: number) => void; lengthBytes: number },
  ): Promise<void> {
    const { socket } = this;
    const pieces: Buffer[] = [];
    for (let bytes = this.#parser.takeBody(); bytes !== undefined; bytes = this.#parser.takeBody()) pieces.push(bytes);
    socket.pause();
    socket.off('data', this.#onData);
    this.#isLent = true;
    try {
      await this.session.parts.network.receiveInto({
        connection: socket,
        first: Buffer.concat(pieces),
        lengthBytes,
        file,
        position: 0,
        sliceBytes: BLOCK_SIZE_BYTES,
        onSlice: ({ position, checksum }) => onBlock(Math.floor(position / BLOCK_SIZE_BYTES), checksum),
        signal: this.signal,
      });
      this.#parser.skipBody();
    } catch (error) {
      if (this.#taking === call) {
        this.#taking = undefined;
        this.#body = undefined;
        call.answer.closes = true;
        this.#failed(call, error);
      }
      throw error;
    } finally {
      this.#isLent = false;
      socket.on('data', this.#onData);
    }
    this.#work();
  }

  /** Looks behind the value's last byte: what is no CRLF there belies its length. */
  #endBody(body: IncomingValue): boolean {
    const step = this.#parser.next();
    if (step === 'incomplete' && !this.#parser.isBodyClosed) return false;
    this.#body = undefined;
    if (step === 'error') {
      body.fail(new Refusal(`ERR ${this.#parser.problem}`));
      this.#refuseProtocol(this.#parser.problem);
      return false;
    }
    body.arrived();
    if (step === 'request') this.#requestRead(undefined);
    else if (step === 'body') this.#requestRead(this.#parser.bodyLengthBytes);
    return true;
  }

  /** What came is no RESP: says so after the answers that are owed, and closes. */
  #refuseProtocol(problem: string): void {
    this.#host.refused('protocol');
    this.#ending = true;
    const taking = this.#taking;
    this.#taking = undefined;
    const call = taking ?? this.#begin(undefined, ['']);
    this.#body = undefined;
    call.answer.status = 400;
    call.answer.closes = true;
    call.answer.reply(failure(`ERR ${problem}`));
    this.#over(call);
  }

  #freePlace(): void {
    if (this.#hasPlace) this.#host.freeBody();
    this.#hasPlace = false;
  }

  #hangUp(): void {
    this.#ending = true;
    this.batch.flush();
    this.socket.end();
    this.socket.resume();
  }
}

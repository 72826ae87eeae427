/** A request that was begun. */
import type { KvVolume } from '../../kv/kv.ts';
import { Answer, type AnswerHost } from './answer.ts';
import type { Call, Command } from './command.ts';
import { keysOf } from './command.ts';
import type { IncomingValue } from './incoming-value.ts';
import type { Argument } from './request-parser.ts';
import type { Session } from './session.ts';

/** Stands for commands that are not in the table; the door's check refuses them. */
const UNKNOWN: Command = { name: 'unknown', arity: -1, right: 'none', run() {} };

/** Requests of very many keys wait for each other instead of being compared. */
const COMPARISONS_MAX = 4096;

export interface CallHost extends AnswerHost {
  readonly session: Session;
  readonly signal: AbortSignal;
}

export class UnderWay implements Call {
  readonly command: Command;
  readonly args: readonly Argument[];
  readonly answer: Answer;
  readonly beganMs: number;
  body: IncomingValue | undefined = undefined;
  put: Promise<unknown> | undefined = undefined;
  mustBeAbsent = false;
  /** Why its values are thrown away. */
  failed: unknown = undefined;
  over = false;
  #keys: readonly string[] | undefined = undefined;
  readonly #host: CallHost;

  constructor(host: CallHost, given: { command: Command | undefined; args: readonly Argument[]; hasTurn: boolean }) {
    this.#host = host;
    this.command = given.command ?? UNKNOWN;
    this.args = given.args;
    this.answer = new Answer(host, { hasTurn: given.hasTurn, resp3: host.session.resp3 });
    this.beganMs = host.session.parts.clock.boottimeMs();
  }

  get isKnown(): boolean {
    return this.command !== UNKNOWN;
  }

  get session(): Session {
    return this.#host.session;
  }

  get volume(): KvVolume {
    return this.#host.session.volume as KvVolume;
  }

  get signal(): AbortSignal {
    return this.#host.signal;
  }

  /** Its keys, once its arguments are all here. */
  get keys(): readonly string[] {
    this.#keys ??= keysOf(this.command, this.args);
    return this.#keys;
  }

  /** Whether `next` can give no other answer, nor change that of this one, for being begun now. */
  mayOverlap(next: Command | undefined, keys: readonly string[]): boolean {
    if (next?.keys === undefined || this.command.keys === undefined) return false;
    if (next.right === 'read' && this.command.right === 'read') return true;
    if (this.keys.length * keys.length > COMPARISONS_MAX) return false;
    return !this.keys.some((key) => keys.includes(key));
  }
}

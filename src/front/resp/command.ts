/** A command of the table, and one call of it. */
import { keyMaxBytes } from '../../core/limits.ts';
import type { KvVolume } from '../../kv/kv.ts';
import type { Answer } from './answer.ts';
import type { IncomingValue } from './incoming-value.ts';
import { Refusal } from './reply.ts';
import type { Session } from './session.ts';

export interface Call {
  readonly command: Command;
  readonly session: Session;
  /** The volume selected; commands that need one are not called without. */
  readonly volume: KvVolume;
  /** The command's name first. Values are bytes (`valueOf`), all else text of one character per byte. */
  readonly args: readonly (string | Buffer)[];
  readonly answer: Answer;
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal;
  /** The value that is arriving, or arrived last, where it was not collected. */
  body: IncomingValue | undefined;
  /** Where that value goes: set by `onBody`. */
  put: Promise<unknown> | undefined;
  /** Of a value that arrived: nothing may be under its key. */
  mustBeAbsent: boolean;
}

export interface Command {
  readonly name: string;
  /** As Redis counts: with the name; negative: at least. */
  readonly arity: number;
  /** What the client must be allowed in the volume; `none`: nothing of a volume is touched. */
  readonly right: 'read' | 'write' | 'none';
  /** Before AUTH. */
  readonly open?: boolean;
  /** Indexes of its first and last key (negative: from the end), and how far they are apart. */
  readonly keys?: readonly [first: number, last: number, step: number];
  /** Whether the argument at this index is a value. */
  isValue?(index: number): boolean;
  /** A value comes that is not collected: begins to put it. Resolves when its bytes may come. */
  onBody?(call: Call, body: IncomingValue): Promise<void>;
  /** Answers, by `call.answer`. Throws Refusal, ForebayError. */
  run(call: Call): void | Promise<void>;
}

export function textOf(call: Call, index: number): string {
  return call.args[index] as string;
}

/** A value that was collected. */
export function bytesOf(call: Call, index: number): Buffer {
  return call.args[index] as Buffer;
}

/** The keys of a request; none where it has too few arguments. */
export function keysOf(command: Command, args: readonly (string | Buffer)[]): string[] {
  if (command.keys === undefined) return [];
  const [first, last, step] = command.keys;
  const end = last < 0 ? args.length + last : Math.min(last, args.length - 1);
  const keys: string[] = [];
  for (let index = first; index <= end; index += step) keys.push(args[index] as string);
  return keys;
}

/** Of a request: its arguments in all, also those that are still to come, and whether one of them was too long to be kept. */
export interface Shape {
  readonly count: number;
  readonly tooLong: boolean;
}

/** Throws Refusal where it is no key of a value. */
export function checkKey(key: string | Buffer): void {
  if (key.length === 0 || key.length > keyMaxBytes)
    throw new Refusal(`ERR keys have 1 to 1,024 bytes, this one has ${key.length}`);
}

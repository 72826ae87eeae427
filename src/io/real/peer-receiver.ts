/** What receives an answer: pullers' threads, or Node's streams. */
import { formatAddress } from '../../core/address.ts';
import type { PeerEndpoint, Pull } from '../peers.ts';
import type { AnswerFailure } from './peer-answer.ts';
import type { FrameKey } from './peer-frame.ts';

export interface Receive {
  readonly pull: Pull;
  /** The request to be sent. */
  readonly head: Buffer;
  readonly key: FrameKey;
  /** Not over a connection that was used before. */
  readonly fresh: boolean;
}

export interface Receiver {
  /**
   * Sends the request and receives the answer, reporting its blocks. Resolves with what the holder, or the answer's form,
   * says against it; rejects with StaleConnection, the connection's error, the disk's, `onBlock`'s or the signal's.
   */
  receive(receive: Receive): Promise<AnswerFailure | undefined>;
  forget(node: string): void;
  close(): Promise<void>;
}

/** The peer had closed the pooled connection: nothing was received, and a new connection may do. */
export class StaleConnection extends Error {
  override name = 'StaleConnection';
}

/** Names a peer in the pools; `isPoolOf` finds it again. */
export function poolName(to: PeerEndpoint): string {
  return `${encodeURIComponent(to.node)} ${formatAddress(to.address)}`;
}

export function isPoolOf(name: string, node: string): boolean {
  return name.startsWith(`${encodeURIComponent(node)} `);
}

/** What the control thread and the thread of the embedded coordinator say to each other. */
import type { ErrorCode } from '../../core/errors.ts';
import type { KeyValue, Transaction, TransactionResult, WatchEvent } from '../coordinator.ts';
import type { FfiChoice } from './libc.ts';
import type { RenewalReport } from './renewals.ts';

export interface EmbeddedWorkerData {
  readonly path: string;
  readonly bootId: string;
  readonly ffi: FfiChoice;
  /** The main loop beats here. */
  readonly pulse: SharedArrayBuffer;
}

export type EmbeddedRequest =
  | { readonly op: 'session'; readonly id: string; readonly ttlMs: number }
  | { readonly op: 'end'; readonly id: string }
  | {
      readonly op: 'range';
      readonly prefix: string;
      readonly after: string | undefined;
      readonly limit: number | undefined;
    }
  | { readonly op: 'transaction'; readonly transaction: Transaction }
  | { readonly op: 'changes'; readonly prefix: string; readonly afterRevision: number }
  | { readonly op: 'compact' };

export interface EmbeddedAnswers {
  /** CLOCK_BOOTTIME from which the term counts. */
  session: number;
  end: undefined;
  range: { readonly revision: number; readonly entries: readonly KeyValue[]; readonly more: boolean };
  transaction: TransactionResult;
  /** Events in order, and up to which revision they tell everything. */
  changes: { readonly events: readonly WatchEvent[]; readonly toRevision: number };
  compact: undefined;
}

export interface EmbeddedFailure {
  readonly code: ErrorCode;
  readonly message: string;
}

/** `close` ends the thread. */
export type ToEmbeddedWorker = { readonly call: number; readonly request: EmbeddedRequest } | 'close';

export type FromEmbeddedWorker =
  /** The file is open, or cannot be. */
  | { readonly opened: EmbeddedFailure | undefined }
  | { readonly call: number; readonly value: EmbeddedAnswers[keyof EmbeddedAnswers] }
  | { readonly call: number; readonly failed: EmbeddedFailure }
  /** There are changes up to this revision. */
  | { readonly revision: number }
  /** The file is not what it was: nothing it says counts any more. */
  | { readonly refused: EmbeddedFailure }
  | RenewalReport;

/** An origin that fails as told, for tests and the simulator: before a call, after it took effect, midway, or never answering. */
import { abortReason, type ErrorCode, ForebayError } from '../core/errors.ts';
import { type Call, type GetOptions, type Interceptor, intercept, type Operation } from './intercept.ts';
import type { Body, Origin } from './origin.ts';

export type Fault =
  /** The call does nothing and fails. */
  | { readonly kind: 'refuse'; readonly code: ErrorCode; readonly retryAfterMs?: number }
  /** The call takes effect, and its answer is lost. */
  | { readonly kind: 'unanswered' }
  /** Nothing happens until the caller gives up. */
  | { readonly kind: 'hang' }
  /** A body breaks off after so many bytes: the answer of a get, or what a put or part sends. */
  | { readonly kind: 'cut'; readonly afterBytes: number; readonly code?: ErrorCode };

export interface FaultyCall {
  readonly operation: Operation;
  readonly key: string;
  /** How many calls of this operation came before. */
  readonly count: number;
}

/** `decide` is asked once per call. */
export function faulty(origin: Origin, decide: (call: FaultyCall) => Fault | undefined): Origin {
  const counts = new Map<Operation, number>();
  const faults = new WeakMap<Call, Fault>();
  const faultOf = (call: Call): Fault | undefined => {
    const count = counts.get(call.operation) ?? 0;
    counts.set(call.operation, count + 1);
    const fault = decide({ operation: call.operation, key: call.key, count });
    if (fault !== undefined) faults.set(call, fault);
    return fault;
  };
  const interceptor: Interceptor = {
    async around(call, run) {
      const fault = faultOf(call);
      if (fault?.kind === 'hang') await hang(call.signal);
      if (fault?.kind === 'refuse') throw failure(call, fault.code, fault.retryAfterMs);
      const result = await run();
      if (fault?.kind === 'unanswered') throw failure(call, 'originUnavailable');
      return result;
    },
    async get(call: Call, options: GetOptions) {
      const fault = faultOf(call);
      if (fault?.kind === 'hang') await hang(call.signal);
      if (fault?.kind === 'refuse') throw failure(call, fault.code, fault.retryAfterMs);
      if (fault?.kind === 'unanswered') throw failure(call, 'originUnavailable');
      const answer = await origin.get(call.key, options);
      return fault?.kind === 'cut' ? cutOff(answer, call, fault) : answer;
    },
    body(call: Call, body: Body) {
      const fault = faults.get(call);
      return fault?.kind === 'cut' ? { ...body, stream: () => cutOff(body.stream(), call, fault) } : body;
    },
  };
  return intercept(origin, interceptor);
}

function failure(call: Call, code: ErrorCode, retryAfterMs?: number): ForebayError {
  const options = retryAfterMs === undefined ? {} : { retryAfterMs };
  return new ForebayError(code, `${call.operation} of "${call.key}" was made to fail`, options);
}

async function* cutOff(
  pieces: AsyncIterable<Uint8Array>,
  call: Call,
  fault: { afterBytes: number; code?: ErrorCode },
): AsyncGenerator<Uint8Array, void, undefined> {
  let left = fault.afterBytes;
  for await (const piece of pieces) {
    const taken = piece.subarray(0, left);
    left -= taken.length;
    if (taken.length > 0) yield taken;
    if (left === 0) break;
  }
  throw failure(call, fault.code ?? 'originTruncated');
}

function hang(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    if (signal?.aborted) reject(abortReason(signal));
    signal?.addEventListener('abort', () => reject(abortReason(signal)), { once: true });
  });
}

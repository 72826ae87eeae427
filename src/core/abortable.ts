import { abortReason } from './errors.ts';

/** `promise`, or the signal's reason when it aborts first. The promise goes on; its failure is then of no interest. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  promise.catch(() => undefined);
  return new Promise<T>((resolve, reject) => {
    const aborted = () => reject(abortReason(signal));
    if (signal.aborted) return aborted();
    signal.addEventListener('abort', aborted, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted));
  });
}

/**
 * The reason with which a wait is ended because what was waited for has come: nobody reads it. Made once: without one, an abort makes
 * a DOMException with a stack, which costs as much as sending a small message.
 */
export const SETTLED = new Error('settled');

/** Tells of every origin request when it is over: how long it took, how many bytes went or came, how it ended. */
import { isForebayError } from '../core/errors.ts';
import type { Clock } from '../io/io.ts';
import type { Emit } from '../observe/events.ts';
import { type Call, type GetOptions, intercept, TappedStream } from './intercept.ts';
import type { Origin } from './origin.ts';

export function observed(origin: Origin, { clock, emit }: { clock: Clock; emit: Emit }): Origin {
  const begin = (call: Call) => {
    const fromMs = clock.boottimeMs();
    return (bytes: number, error: unknown) => {
      const failed = isForebayError(error) ? error.code : 'internal';
      emit({
        kind: 'origin.request',
        origin: origin.url,
        operation: call.operation,
        ms: clock.boottimeMs() - fromMs,
        bytes,
        code: error === undefined ? 'ok' : call.signal?.aborted ? 'aborted' : failed,
      });
    };
  };
  return intercept(origin, {
    async around(call, run) {
      const over = begin(call);
      try {
        const result = await run();
        over(call.bytes, undefined);
        return result;
      } catch (error) {
        over(0, error ?? 'failed');
        throw error;
      }
    },
    async get(call: Call, options: GetOptions) {
      const over = begin(call);
      let bytes = 0;
      const onBytes = (more: number) => {
        bytes += more;
      };
      try {
        const answer = await origin.get(call.key, options);
        return new TappedStream(answer, { onBytes, onEnd: (error) => over(bytes, error), signal: call.signal });
      } catch (error) {
        over(0, error ?? 'failed');
        throw error;
      }
    },
  });
}

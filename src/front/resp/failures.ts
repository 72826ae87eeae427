/** Failures as the door says them. */
import { asForebayError } from '../s3/s3-error.ts';
import type { Answer } from './answer.ts';
import { failure, failureOf, Refusal } from './reply.ts';

export function answerFailure(answer: Answer, error: unknown): void {
  if (error instanceof Refusal) {
    answer.status = error.status;
    answer.reply(failure(error.message));
    return;
  }
  const known = asForebayError(error);
  answer.status = known.row.status;
  answer.reply(failureOf(known));
}

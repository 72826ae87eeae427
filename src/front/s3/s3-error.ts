/** Errors as S3 states them: a status, and XML that SDKs act on by its Code. HEAD has only the status. */
import { ERRORS, ForebayError } from '../../core/errors.ts';
import { DiskError } from '../../io/io.ts';
import type { Exchange } from '../http/exchange.ts';
import { element, XML_DECLARATION, XML_HEADERS } from './xml.ts';

export interface ErrorContext {
  readonly id: string;
  /** The path of the request. */
  readonly resource: string;
}

/** Any failure as one of the table. Strangers' errors are not shown: their text may hold paths or secrets. */
export function asForebayError(error: unknown): ForebayError {
  if (error instanceof ForebayError) return error;
  if (error instanceof DiskError) {
    const code = error.code === 'ENOSPC' ? 'diskFull' : 'diskUnavailable';
    return new ForebayError(code, 'the cache disk failed', { cause: error });
  }
  return new ForebayError('internal', 'the request failed', { cause: error });
}

/** `<Error>` with a code of S3's own, without the declaration. */
function errorElement(code: string, message: string, context: ErrorContext): string {
  const children = [
    element('Code', code),
    element('Message', message),
    element('Resource', context.resource),
    element('RequestId', context.id),
  ];
  return `<Error>${children.join('')}</Error>`;
}

/** The `<Error>` of `error`: what happened, and what to do next. */
export function errorElementOf(error: ForebayError, context: ErrorContext): string {
  const { s3, hint } = error.row;
  const message = error.message.charAt(0).toUpperCase() + error.message.slice(1);
  return errorElement(s3, `${message}${/[.!?]$/.test(message) ? '' : '.'} ${hint}`, context);
}

/** Answers with `error`; `headers` are added. */
export function answerError(
  exchange: Exchange,
  error: ForebayError,
  context: ErrorContext,
  headers: readonly string[] = [],
): void {
  const all = ['x-amz-request-id', context.id, ...headers];
  const { status } = error.row;
  if (status === 503) all.push('Retry-After', String(Math.max(1, Math.ceil((error.retryAfterMs ?? 1000) / 1000))));
  if (status === 304) {
    exchange.answer(status, all);
    return;
  }
  all.push(...XML_HEADERS);
  exchange.answer(status, all, Buffer.from(XML_DECLARATION + errorElementOf(error, context), 'utf8'));
}

/** Answers with an error that only S3 has a name for. */
export function answerCode(
  exchange: Exchange,
  answer: { status: number; code: string; message: string },
  context: ErrorContext,
): void {
  const body = Buffer.from(XML_DECLARATION + errorElement(answer.code, answer.message, context), 'utf8');
  exchange.answer(answer.status, ['x-amz-request-id', context.id, ...XML_HEADERS], body);
}

/** The body for requests that were no HTTP. */
export function refusalOf(reason: 'malformed' | 'headersTooLarge' | 'incompleteBody', id: string) {
  const code = reason === 'malformed' ? 'invalidRequest' : reason;
  const message = {
    malformed: 'the request is not well-formed HTTP/1.1',
    headersTooLarge: 'the headers are too large',
    incompleteBody: 'the body ended before its declared length',
  }[reason];
  const error = new ForebayError(code, message);
  return {
    status: ERRORS[code].status,
    headers: ['x-amz-request-id', id, ...XML_HEADERS],
    body: Buffer.from(XML_DECLARATION + errorElementOf(error, { id, resource: '' }), 'utf8'),
  };
}

/**
 * An HTTP store's answers and a connection's failures as the codes of an origin. One table for S3 and Azure: their codes do not
 * contradict each other. What a code means for one operation (412 on a read is versionChanged) its adapter knows.
 */
import { type ErrorCode, ForebayError } from '../core/errors.ts';

export interface Failure {
  /** What was tried, on what, at which origin. */
  readonly what: string;
  readonly status?: number | undefined;
  /** The store's own code, or the errno name of a connection. */
  readonly code?: string | undefined;
  readonly message: string;
  /** The Retry-After header: seconds or an HTTP date. */
  readonly retryAfter?: string | undefined;
  /** Where a redirect leads. */
  readonly location?: string | undefined;
  readonly cause: unknown;
}

const BY_CODE: Readonly<Record<string, ErrorCode>> = {
  // S3
  NoSuchBucket: 'noSuchBucket',
  NoSuchUpload: 'noSuchUpload',
  InvalidPart: 'invalidPart',
  InvalidPartOrder: 'invalidPartOrder',
  EntityTooSmall: 'tooSmall',
  EntityTooLarge: 'tooLarge',
  KeyTooLongError: 'keyTooLong',
  PreconditionFailed: 'preconditionFailed',
  ConditionalRequestConflict: 'conflict',
  OperationAborted: 'conflict',
  SlowDown: 'originThrottled',
  Throttling: 'originThrottled',
  ThrottlingException: 'originThrottled',
  RequestLimitExceeded: 'originThrottled',
  TooManyRequests: 'originThrottled',
  ServiceUnavailable: 'originThrottled',
  RequestTimeout: 'originUnavailable',
  BadDigest: 'originUnavailable',
  IncompleteBody: 'originUnavailable',
  XAmzContentSHA256Mismatch: 'originUnavailable',
  XAmzContentChecksumMismatch: 'originUnavailable',
  InternalError: 'originUnavailable',
  ExpiredToken: 'originDenied',
  InvalidToken: 'originDenied',
  TokenRefreshRequired: 'originDenied',
  AuthorizationHeaderMalformed: 'originDenied',
  IllegalLocationConstraintException: 'originDenied',
  NotImplemented: 'notImplemented',
  // Azure
  ContainerNotFound: 'noSuchBucket',
  ContainerBeingDeleted: 'noSuchBucket',
  ContainerDisabled: 'noSuchBucket',
  InvalidBlockList: 'invalidPart',
  InvalidBlockId: 'invalidPart',
  InvalidBlobOrBlock: 'invalidPart',
  BlobAlreadyExists: 'preconditionFailed',
  UnauthorizedBlobOverwrite: 'originDenied',
  TargetConditionNotMet: 'preconditionFailed',
  ConditionNotMet: 'preconditionFailed',
  LeaseIdMissing: 'conflict',
  LeaseLost: 'conflict',
  ServerBusy: 'originThrottled',
  OperationTimedOut: 'originUnavailable',
  Md5Mismatch: 'originUnavailable',
  Crc64Mismatch: 'originUnavailable',
};

/** Names of errors that credential chains throw before any request was made. */
const CREDENTIAL_ERRORS = new Set([
  'CredentialsProviderError',
  'CredentialUnavailableError',
  'AuthenticationError',
  'AuthenticationRequiredError',
  'AggregateAuthenticationError',
]);

function byStatus(status: number): ErrorCode {
  if (status === 401 || status === 403) return 'originDenied';
  if (status === 408) return 'originUnavailable';
  if (status === 409) return 'conflict';
  if (status === 412) return 'preconditionFailed';
  if (status === 429 || status === 503) return 'originThrottled';
  if (status === 501) return 'notImplemented';
  if (status >= 400 && status < 500) return 'invalidRequest';
  return 'originUnavailable';
}

function codeOf(failure: Failure): ErrorCode {
  const name = failure.cause instanceof Error ? failure.cause.name : '';
  if (CREDENTIAL_ERRORS.has(name)) return 'originDenied';
  const named = failure.code === undefined ? undefined : BY_CODE[failure.code];
  if (named !== undefined) return named;
  return failure.status === undefined ? 'originUnavailable' : byStatus(failure.status);
}

/** How long the store asked to be left alone, in milliseconds. */
function parseRetryAfter(text: string | undefined, wallMs: number): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text.trim())) return Number(text) * 1000;
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - wallMs);
}

export function originFailure(failure: Failure, wallMs: number): ForebayError {
  const { what, status, code, message, location } = failure;
  const answer = [status, code === message ? undefined : code].filter((word) => word !== undefined).join(' ');
  const text =
    status !== undefined && status >= 300 && status < 400
      ? `${what}: the origin answers ${answer}, a redirect${location ? ` to ${location}` : ''}, which is not followed: correct the endpoint or region`
      : `${what}: ${answer}${answer ? ': ' : ''}${message}`;
  const retryAfterMs = parseRetryAfter(failure.retryAfter, wallMs);
  return new ForebayError(codeOf(failure), text, {
    cause: failure.cause,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

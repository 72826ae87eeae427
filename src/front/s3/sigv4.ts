/**
 * AWS Signature Version 4, the server's side: in the Authorization header or in the query (presigned).
 *
 * Source: "Authenticating Requests (AWS Signature Version 4)" of the S3 API reference. What it demands and we hold: `host`
 * and every `x-amz-` header that is sent are signed; the scope is of the day of the request's time, of s3, and ends in
 * aws4_request; times differ by at most `signatureSkewMs`; a presigned URL lives at most `presignedMaxS`. Any region is
 * taken. The path is decoded once and encoded anew, never normalised. Strings here have one character per byte.
 */
import { hash } from 'node:crypto';
import { ForebayError } from '../../core/errors.ts';
import { presignedMaxS, signatureSkewMs } from '../../core/limits.ts';
import type { AccessKey, Credentials } from '../credentials.ts';
import { canonicalQuery, hasQuery, queryValue } from '../http/query.ts';
import type { CanonicalRequest, SignedRequest } from './canonical-request.ts';
import { canonicalPath, canonicalRequest } from './canonical-request.ts';
import type { SigningKey, SigningKeys } from './signing-key.ts';
import { isSameDigest } from './signing-key.ts';

/** The seed of the signatures of a body's chunks. */
export interface ChunkSeed {
  readonly key: SigningKey;
  readonly signature: string;
  readonly date: string;
  readonly scope: string;
}

/** What the signature says of the body. */
export type PayloadClaim =
  | { readonly kind: 'unsigned' }
  | { readonly kind: 'sha256'; readonly hex: string }
  /** aws-chunked; `seed` where the chunks are signed. */
  | { readonly kind: 'chunked'; readonly seed: ChunkSeed | undefined; readonly trailer: boolean };

export interface Authentication {
  readonly key: AccessKey;
  /** The request carries a signature (checked, but where the door takes everyone). */
  readonly signed: boolean;
  readonly payload: PayloadClaim;
}

const EMPTY_SHA256 = hash('sha256', '', 'hex');
const ALGORITHM = 'AWS4-HMAC-SHA256';
/** Where the fields of an Authorization header begin. */
const FIELDS_AT = ALGORITHM.length + 1;
const UNSIGNED: PayloadClaim = { kind: 'unsigned' };

/** Who asks. Throws accessDenied, invalidAccessKey, signatureMismatch, requestTimeSkewed, requestExpired, invalidRequest. */
export function authenticate(
  request: SignedRequest,
  options: { credentials: Credentials; keys: SigningKeys; nowMs: number },
): Authentication {
  const authorization = request.header('authorization');
  const isPresigned = hasQuery(request.query, 'X-Amz-Algorithm') || hasQuery(request.query, 'X-Amz-Signature');
  const { anonymous } = options.credentials;
  if (anonymous !== undefined) {
    const payload = payloadClaim(request.header('x-amz-content-sha256') ?? 'UNSIGNED-PAYLOAD', undefined);
    return { key: anonymous, signed: authorization !== undefined || isPresigned, payload };
  }
  if (authorization !== undefined) {
    if (isPresigned) throw new ForebayError('invalidRequest', 'only one way to authenticate may be used');
    return verifyHeader(request, authorization, options);
  }
  if (isPresigned) return verifyQuery(request, options);
  if (hasQuery(request.query, 'AWSAccessKeyId')) throw unsupportedAlgorithm();
  throw new ForebayError('accessDenied', 'the request is not signed');
}

function unsupportedAlgorithm(): ForebayError {
  return new ForebayError('invalidRequest', `the authorization mechanism is not supported: use ${ALGORITHM}`);
}

function verifyHeader(
  request: SignedRequest,
  authorization: string,
  options: { keys: SigningKeys; nowMs: number },
): Authentication {
  if (!authorization.startsWith(`${ALGORITHM} `)) throw unsupportedAlgorithm();
  const { credential, signedHeaders, signature } = authorizationFields(authorization);
  const date = request.header('x-amz-date') ?? basicDate(request.header('date'));
  const timeMs = parseDate(date);
  if (Math.abs(options.nowMs - timeMs) > signatureSkewMs)
    throw new ForebayError(
      'requestTimeSkewed',
      `the request is of ${date}, it is ${new Date(options.nowMs).toISOString()}`,
    );
  const { key, scope } = keyOf(credential, date, options.keys);
  const claim = request.header('x-amz-content-sha256') ?? claimOfNothing(request);
  const canonical = canonicalRequest(request, canonicalQuery(request.query), signedHeaders, claim);
  checkSignature({ key, date, scope, canonical, signature });
  return {
    key: key.accessKey,
    signed: true,
    payload: payloadClaim(claim, { key, signature, date, scope }),
  };
}

/** Without a body some clients (curl) do not say that they signed the hash of nothing. */
function claimOfNothing(request: SignedRequest): string {
  if ((request.header('content-length') ?? '0') !== '0' || request.header('transfer-encoding') !== undefined)
    throw new ForebayError('invalidRequest', 'x-amz-content-sha256 is missing');
  return EMPTY_SHA256;
}

function verifyQuery(request: SignedRequest, options: { keys: SigningKeys; nowMs: number }): Authentication {
  const { query } = request;
  const field = (name: string): string => {
    const value = queryValue(query, name);
    if (value === undefined) throw new ForebayError('invalidRequest', `the query of a presigned URL must have ${name}`);
    return value;
  };
  if (field('X-Amz-Algorithm') !== ALGORITHM) throw unsupportedAlgorithm();
  const credential = field('X-Amz-Credential');
  const date = field('X-Amz-Date');
  const timeMs = parseDate(date);
  const expires = field('X-Amz-Expires');
  const expiresS = /^\d{1,7}$/.test(expires) ? Number(expires) : -1;
  if (expiresS < 1 || expiresS > presignedMaxS)
    throw new ForebayError('invalidArgument', `X-Amz-Expires must be 1 to ${presignedMaxS} seconds`);
  if (timeMs - options.nowMs > signatureSkewMs)
    throw new ForebayError('requestTimeSkewed', `the URL is of ${date}, in the future`);
  if (options.nowMs > timeMs + expiresS * 1000)
    throw new ForebayError('requestExpired', `the URL of ${date} lived ${expiresS} s`);
  const { key, scope } = keyOf(credential, date, options.keys);
  const claim =
    queryValue(query, 'X-Amz-Content-Sha256') ?? request.header('x-amz-content-sha256') ?? 'UNSIGNED-PAYLOAD';
  const signature = field('X-Amz-Signature');
  const canonical = canonicalRequest(request, canonicalQuery(query), field('X-Amz-SignedHeaders'), claim);
  checkSignature({ key, date, scope, canonical, signature });
  return {
    key: key.accessKey,
    signed: true,
    payload: payloadClaim(claim, { key, signature, date, scope }),
  };
}

interface AuthorizationFields {
  readonly credential: string;
  readonly signedHeaders: string;
  readonly signature: string;
}

/** `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`, as nearly everyone writes it; other orders and blanks take longer. */
function authorizationFields(text: string): AuthorizationFields {
  const first = text.indexOf(', SignedHeaders=', FIELDS_AT);
  const second = text.indexOf(', Signature=', first);
  if (text.startsWith('Credential=', FIELDS_AT) && first > 0 && second > 0 && text.indexOf(',', second + 1) < 0)
    return {
      credential: text.slice(FIELDS_AT + 11, first),
      signedHeaders: text.slice(first + 16, second),
      signature: text.slice(second + 12),
    };
  return {
    credential: authorizationField(text, 'Credential='),
    signedHeaders: authorizationField(text, 'SignedHeaders='),
    signature: authorizationField(text, 'Signature='),
  };
}

function authorizationField(authorization: string, name: string): string {
  let at = ALGORITHM.length;
  for (;;) {
    at = authorization.indexOf(name, at + 1);
    if (at < 0) throw new ForebayError('invalidRequest', `the Authorization header has no ${name.slice(0, -1)}`);
    const before = authorization.charCodeAt(at - 1);
    if (before === 0x20 || before === 0x2c) break;
  }
  const from = at + name.length;
  const comma = authorization.indexOf(',', from);
  return (comma < 0 ? authorization.slice(from) : authorization.slice(from, comma)).trim();
}

/** The key that a credential names, and its scope, which must be of the request's day. */
function keyOf(text: string, date: string, keys: SigningKeys): { key: SigningKey; scope: string } {
  const found = keys.find(text);
  if (found === undefined)
    throw new ForebayError('invalidRequest', 'the credential must be ID/date/region/s3/aws4_request');
  const { credential, key } = found;
  if (!date.startsWith(credential.date))
    throw new ForebayError('invalidRequest', `the credential is of ${credential.date}, the request of ${date}`);
  if (key === undefined) throw new ForebayError('invalidAccessKey', 'no key has this id');
  return { key, scope: credential.scope };
}

let lastDate = '';
let lastDateMs = 0;

/** Wall milliseconds of `20260131T235959Z`. */
function parseDate(text: string): number {
  if (text === lastDate) return lastDateMs;
  const match = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/.exec(text);
  if (match === null)
    throw new ForebayError('accessDenied', 'the request must carry its time in X-Amz-Date, as 20260131T235959Z');
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  lastDateMs = Date.UTC(year, month - 1, day, hour, minute, second);
  lastDate = text;
  return lastDateMs;
}

/** Some clients sign by the Date header instead. */
function basicDate(httpDate: string | undefined): string {
  const ms = httpDate === undefined ? Number.NaN : Date.parse(httpDate);
  return Number.isNaN(ms) ? (httpDate ?? '') : new Date(ms).toISOString().replace(/[-:]|\.\d{3}/g, '');
}

const scratch = Buffer.allocUnsafeSlow(8192);

/** SHA-256 of a byte string, in hex. */
function sha256(text: string): string {
  if (text.length > scratch.length) return hash('sha256', Buffer.from(text, 'latin1'), 'hex');
  return hash('sha256', scratch.subarray(0, scratch.write(text, 'latin1')), 'hex');
}

interface Signed {
  readonly key: SigningKey;
  readonly date: string;
  readonly scope: string;
  readonly canonical: CanonicalRequest;
  readonly signature: string;
}

/**
 * S3 signs the encoded bytes of the key; some clients (curl) sign the path as they send it. Both name the same key, so
 * either will do.
 */
function checkSignature(signed: Signed): void {
  const { path } = signed.canonical;
  const encoded = canonicalPath(path);
  if (isSignatureOf(signed, encoded) || (encoded !== path && isSignatureOf(signed, path))) return;
  throw new ForebayError('signatureMismatch', 'the signature is not the one computed from the request and the secret');
}

function isSignatureOf({ key, date, scope, canonical, signature }: Signed, path: string): boolean {
  const request = `${canonical.method}\n${path}\n${canonical.rest}`;
  return isSameDigest(signature, key.sign(`${ALGORITHM}\n${date}\n${scope}\n${sha256(request)}`));
}

const HEX_64 = /^[0-9a-f]{64}$/;

function payloadClaim(claim: string, seed: ChunkSeed | undefined): PayloadClaim {
  switch (claim) {
    case 'UNSIGNED-PAYLOAD':
      return UNSIGNED;
    case 'STREAMING-UNSIGNED-PAYLOAD-TRAILER':
      return { kind: 'chunked', seed: undefined, trailer: true };
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD':
      return { kind: 'chunked', seed, trailer: false };
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER':
      return { kind: 'chunked', seed, trailer: true };
    default:
      if (HEX_64.test(claim)) return { kind: 'sha256', hex: claim };
      throw new ForebayError('invalidArgument', 'x-amz-content-sha256 is neither a SHA-256 in hex nor a known form');
  }
}

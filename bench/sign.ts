/**
 * Signs plain requests to the S3 door once, so that a load generator can send them as they are: AWS Signature Version 4
 * in the Authorization header, payload unsigned. Valid for 15 minutes from `atMs`.
 */
import { createHmac, hash } from 'node:crypto';

export interface SigningKey {
  readonly id: string;
  readonly secret: string;
}

export interface PlainRequest {
  readonly method: 'GET' | 'HEAD';
  readonly host: string;
  /** Path with its percent-escapes, without a query. */
  readonly path: string;
  readonly atMs: number;
}

const PAYLOAD = 'UNSIGNED-PAYLOAD';
const SCOPE = 'us-east-1/s3/aws4_request';

const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();

/** The headers to send, `host` among them. */
export function signedHeaders(key: SigningKey, request: PlainRequest): Record<string, string> {
  const stamp = new Date(request.atMs).toISOString().replace(/[-:]|\.\d{3}/g, '');
  const day = stamp.slice(0, 8);
  const headers = { host: request.host, 'x-amz-content-sha256': PAYLOAD, 'x-amz-date': stamp };
  const names = Object.keys(headers).join(';');
  const canonical = [
    request.method,
    request.path,
    '',
    ...Object.entries(headers).map(([name, value]) => `${name}:${value}`),
    '',
    names,
    PAYLOAD,
  ].join('\n');
  const scope = `${day}/${SCOPE}`;
  const toSign = ['AWS4-HMAC-SHA256', stamp, scope, hash('sha256', canonical, 'hex')].join('\n');
  const signing = [day, ...SCOPE.split('/')].reduce<string | Buffer>((k, part) => hmac(k, part), `AWS4${key.secret}`);
  const signature = createHmac('sha256', signing).update(toSign).digest('hex');
  const credential = `Credential=${key.id}/${scope}`;
  return {
    ...headers,
    authorization: `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=${names}, Signature=${signature}`,
  };
}

/** The request as it goes over the wire, head only; signed where a key is given. */
export function requestHead(request: PlainRequest, key?: SigningKey, more: Record<string, string> = {}): string {
  const headers = { ...(key === undefined ? { host: request.host } : signedHeaders(key, request)), ...more };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  return [`${request.method} ${request.path} HTTP/1.1`, ...lines, '', ''].join('\r\n');
}

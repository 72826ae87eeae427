/** Signs requests with AWS's own implementation, to be sent byte by byte. */
import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';

export interface ToSign {
  readonly method?: string;
  /** Percent-encoded. */
  readonly path: string;
  readonly query?: Record<string, string>;
  readonly headers?: Record<string, string>;
  readonly host: string;
  readonly key: { readonly id: string; readonly secret: string };
  readonly date?: Date;
  readonly region?: string;
}

function signer({ key, region }: ToSign): SignatureV4 {
  return new SignatureV4({
    service: 's3',
    region: region ?? 'us-east-1',
    credentials: { accessKeyId: key.id, secretAccessKey: key.secret },
    sha256: Sha256,
    uriEscapePath: false,
    applyChecksum: false,
  });
}

function request(toSign: ToSign) {
  return {
    method: toSign.method ?? 'GET',
    protocol: 'http:',
    hostname: toSign.host,
    path: toSign.path,
    query: toSign.query ?? {},
    headers: { host: toSign.host, ...toSign.headers },
  };
}

/** The headers with which to send it, `authorization` among them. */
export async function signedHeaders(toSign: ToSign): Promise<Record<string, string>> {
  const headers = { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD', ...toSign.headers };
  const options = toSign.date === undefined ? {} : { signingDate: toSign.date };
  const signed = await signer(toSign).sign(request({ ...toSign, headers }), options);
  return signed.headers;
}

/** The query with which to send it, presigned. */
export async function presignedQuery(toSign: ToSign, expiresIn: number): Promise<Record<string, string>> {
  const headers = { 'X-Amz-Content-Sha256': 'UNSIGNED-PAYLOAD', ...toSign.headers };
  const options = toSign.date === undefined ? {} : { signingDate: toSign.date };
  const signed = await signer(toSign).presign(request({ ...toSign, headers }), { expiresIn, ...options });
  return signed.query as Record<string, string>;
}

export function encodeQuery(query: Record<string, string>): string {
  const encode = (text: string) =>
    encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  return Object.entries(query)
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .join('&');
}

/** A whole request head as text. */
export function headText(method: string, target: string, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

/**
 * Who may speak to the admin door. Every request but the health checks names a key; Host and Origin are checked before,
 * so that a web page in somebody's browser cannot reach the node through a name it controls (DNS rebinding).
 */
import { hash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { ForebayError } from '../../core/errors.ts';
import type { AccessKey, Credentials } from '../credentials.ts';

/** Throws hostRefused unless the request names this node as it may be named, and comes from no other site's page. */
export function checkHost(request: IncomingMessage, names: ReadonlySet<string>): void {
  const host = request.headers.host;
  const name = host === undefined ? undefined : hostName(host);
  if (name === undefined || !(isIP(name) !== 0 || name === 'localhost' || names.has(name)))
    throw new ForebayError('hostRefused', `this node is not called ${JSON.stringify(host ?? '')}`);
  const origin = request.headers.origin;
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`)
    throw new ForebayError('hostRefused', `pages of ${JSON.stringify(origin)} may not use this node`);
  const site = request.headers['sec-fetch-site'];
  if (site === 'cross-site' || site === 'same-site')
    throw new ForebayError('hostRefused', 'pages of other sites may not use this node');
}

/** The name in a Host header, in lower case and without port or brackets; `undefined` where it is none. */
function hostName(host: string): string | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::\d{1,5})?$/.exec(host);
  return (match?.[1] ?? match?.[2])?.toLowerCase().replace(/\.$/, '');
}

/** The key that `Authorization: Bearer ID:SECRET` names; throws unauthenticated. Takes as long for an unknown id as for a wrong secret. */
export function authenticate(request: IncomingMessage, credentials: Credentials): AccessKey {
  if (credentials.anonymous) return credentials.anonymous;
  const header = request.headers.authorization;
  if (header === undefined) throw new ForebayError('unauthenticated', 'the request names no key');
  const match = /^Bearer ([A-Za-z0-9_-]{1,128}):(\S{1,256})$/i.exec(header);
  if (!match) throw new ForebayError('unauthenticated', 'the Authorization header is not "Bearer ID:SECRET"');
  const key = credentials.find(match[1] as string);
  const same = timingSafeEqual(digest(key?.secret ?? ''), digest(match[2] as string));
  if (!key || !same) throw new ForebayError('unauthenticated', 'the key is not known, or its secret is wrong');
  return key;
}

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}

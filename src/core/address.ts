/** Addresses of doors: `HOST:PORT`, `[IPv6]:PORT`. Port 0 asks the system for a free one. */
import { isIPv4, isIPv6 } from 'node:net';

export interface Address {
  /** A name or an IP literal, without brackets. */
  readonly host: string;
  readonly port: number;
}

const HOST_NAME = /^(?=.{1,253}$)[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,62})(\.[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,62}))*$/;

/** Reads an address; `undefined` when the text is not one. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([^[\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  if (!match) return undefined;
  const [, bracketed, plain, digits] = match;
  const port = Number(digits);
  if (port > 65_535) return undefined;
  if (bracketed !== undefined) return isIPv6(bracketed) ? { host: bracketed, port } : undefined;
  const host = plain as string;
  const looksNumeric = /^[\d.]+$/.test(host);
  return (looksNumeric ? isIPv4(host) : HOST_NAME.test(host)) ? { host, port } : undefined;
}

export function formatAddress(address: Address): string {
  return isIPv6(address.host) ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** True where only this machine can connect: 127.0.0.0/8, ::1, `localhost`. */
export function isLoopback(host: string): boolean {
  if (isIPv4(host)) return host.startsWith('127.');
  return host === '::1' || host.toLowerCase() === 'localhost';
}

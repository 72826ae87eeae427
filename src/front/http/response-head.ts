/** The head of an answer as text, for connections that the fast path holds. */
import { STATUS_CODES } from 'node:http';

/** Formats wall milliseconds as HTTP wants dates; remembers the last ones, for they repeat. */
export function httpDate(wallMs: number): string {
  const second = Math.floor(wallMs / 1000);
  let text = dates.get(second);
  if (text === undefined) {
    if (dates.size >= DATES_MAX) dates.clear();
    text = new Date(second * 1000).toUTCString();
    dates.set(second, text);
  }
  return text;
}
const DATES_MAX = 4096;
const dates = new Map<number, string>();

/** `headers` holds name, value …: names and values that the handler has made sure carry no control characters. */
export function responseHead(options: {
  status: number;
  headers: readonly string[];
  lengthBytes: number | undefined;
  wallMs: number;
  keepAlive: boolean;
}): string {
  const { status, headers, lengthBytes } = options;
  let text = `${statusLine(status)}Date: ${httpDate(options.wallMs)}\r\n`;
  for (let index = 0; index < headers.length; index += 2) text += `${headers[index]}: ${headers[index + 1]}\r\n`;
  if (lengthBytes !== undefined) text += `Content-Length: ${lengthBytes}\r\n`;
  return options.keepAlive ? `${text}\r\n` : `${text}Connection: close\r\n\r\n`;
}

function statusLine(status: number): string {
  return status === 200 ? 'HTTP/1.1 200 OK\r\n' : `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
}

/** 204 and 304 have no body and declare no length. */
export function isBodiless(status: number): boolean {
  return status === 204 || status === 304;
}

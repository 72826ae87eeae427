/**
 * The strict parser of the fast path: takes the heads of plain GET and HEAD requests, and of PUT, POST and DELETE whose body has a
 * declared length.
 *
 * Whatever is unusual, incomplete beyond the bound, or could be read in two ways (any coding of the body, folded lines, bare line feeds,
 * odd characters, several Host lines) is `odd`, and the connection goes to node:http for good. So this parser never has
 * to refuse anything, and what it takes node:http reads in the same way (the tests compare them).
 */
import { requestHeadMaxBytes } from '../../core/limits.ts';

export interface Head {
  readonly method: Method['name'];
  readonly target: string;
  /** Name, value … with lower-case names. */
  readonly headers: readonly string[];
  readonly keepAlive: boolean;
  readonly bodyLengthBytes: number;
  readonly expectsContinue: boolean;
  /** Position after the head. */
  readonly end: number;
}

type Role = 'plain' | 'odd' | 'host' | 'connection' | 'content-length' | 'expect';

interface Method {
  readonly name: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** How its heads begin. */
  readonly start: string;
  readonly body: 'none' | 'maybe' | 'declared';
}
/** The most frequent first. */
const METHODS: readonly Method[] = [
  { name: 'GET', start: 'GET /', body: 'none' },
  { name: 'PUT', start: 'PUT /', body: 'declared' },
  { name: 'HEAD', start: 'HEAD /', body: 'none' },
  { name: 'POST', start: 'POST /', body: 'declared' },
  { name: 'DELETE', start: 'DELETE /', body: 'maybe' },
];
const START_MAX = 8;
const LENGTH = /^[0-9]{1,15}$/;

interface Name {
  /** As spelled, with the colon. */
  readonly start: string;
  readonly lower: string;
  readonly role: Role;
}

const TOKEN = 1;
const TARGET = 2;
const VALUE = 4;
const classes = new Uint8Array(256);
for (let code = 0x21; code < 0x7f; code++) classes[code] = TARGET | VALUE;
for (const character of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
  classes[character.charCodeAt(0)]! |= TOKEN;
classes[0x20] = VALUE;
classes[0x09] = VALUE;
/** node:http reads a fragment in its own way. */
classes[0x23]! &= ~TARGET;

/** The end of the run of characters of `kind` that begins at `at`. */
function runEnd(text: string, at: number, kind: number): number {
  let index = at;
  while ((classes[text.charCodeAt(index)]! & kind) !== 0) index++;
  return index;
}

/** Headers that announce a body of unknown length, another protocol or hop-by-hop business. */
const ODD_NAMES: ReadonlySet<string> = new Set([
  'transfer-encoding',
  'upgrade',
  'trailer',
  'te',
  'http2-settings',
  'proxy-connection',
  'keep-alive',
]);
/** Spellings remembered, so that a header's name costs one look-up; strangers' spellings are not, past this. */
const NAMES_MAX = 512;
const ROLES: ReadonlySet<string> = new Set(['host', 'connection', 'content-length', 'expect'] satisfies Role[]);
const names = new Map<string, Name>();
/** The names of the last head, line by line: the next one's are mostly the same. */
const previous: Name[] = [];
const PREVIOUS_MAX = 64;

/** `undefined` for what is no token. */
function nameOf(spelling: string): Name | undefined {
  const known = names.get(spelling);
  if (known !== undefined) return known;
  if (spelling === '' || runEnd(spelling, 0, TOKEN) !== spelling.length) return undefined;
  const lower = spelling.toLowerCase();
  const role: Role = ODD_NAMES.has(lower) ? 'odd' : ROLES.has(lower) ? (lower as Role) : 'plain';
  const name = { start: `${spelling}:`, lower, role };
  if (names.size < NAMES_MAX && spelling.length <= 64) names.set(spelling, name);
  return name;
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/**
 * Whether all of `bytes` is printable ASCII, tabs and whole line ends: then no head in it needs its values looked at
 * character by character. On bytes this is several times faster than on text.
 */
export function isClean(bytes: Uint8Array): boolean {
  const length = bytes.length;
  for (let index = 0; index < length; index++) {
    const code = bytes[index] as number;
    // One comparison for 0x20 to 0x7e: this loop is a good part of what a request costs.
    if ((code - 0x20) >>> 0 < 0x5f) continue;
    if (code === 0x0d && index + 1 < length && bytes[index + 1] === 0x0a) index++;
    else if (code !== 0x09) return false;
  }
  return true;
}

/**
 * Reads one head from `text` (one character per byte), at `at`; `clean` says that `isClean` holds for all of it.
 * `incomplete` asks for more bytes; that never happens past `requestHeadMaxBytes`.
 */
export function parseHead(text: string, at: number, clean: boolean): Head | 'incomplete' | 'odd' {
  const method = METHODS.find(({ start }) => text.startsWith(start, at));
  if (method === undefined) return mayBecomeHead(text, at) ? 'incomplete' : 'odd';
  const close = text.indexOf('\r\n\r\n', at);
  if (close < 0) return text.length - at > requestHeadMaxBytes || hasBareLineFeed(text, at) ? 'odd' : 'incomplete';
  if (close + 4 - at > requestHeadMaxBytes) return 'odd';
  const targetAt = at + method.start.length - 1;
  const targetEnd = runEnd(text, targetAt, TARGET);
  if (!text.startsWith(' HTTP/1.1\r\n', targetEnd)) return 'odd';
  const headers: string[] = [];
  let hosts = 0;
  let keepAlive = true;
  let bodyLengthBytes: number | undefined;
  let expectsContinue = false;
  for (let line = targetEnd + 11; line < close + 2; ) {
    const lineEnd = text.indexOf('\r\n', line);
    let name = previous[headers.length >> 1];
    if (name === undefined || !text.startsWith(name.start, line)) {
      const colon = text.indexOf(':', line);
      if (colon < 0 || colon > lineEnd) return 'odd';
      name = nameOf(text.slice(line, colon));
      if (name === undefined || name.role === 'odd') return 'odd';
      if (headers.length < PREVIOUS_MAX) previous[headers.length >> 1] = name;
    }
    let from = line + name.start.length;
    while (from < lineEnd && isBlank(text.charCodeAt(from))) from++;
    let to = lineEnd;
    while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
    if (!clean && runEnd(text, from, VALUE) !== lineEnd) return 'odd';
    const value = text.slice(from, to);
    if (name.role === 'host') {
      if (value === '') return 'odd';
      hosts++;
    } else if (name.role === 'connection') {
      const connection = value.toLowerCase();
      if (connection === 'close') keepAlive = false;
      else if (connection !== 'keep-alive') return 'odd';
    } else if (name.role === 'content-length') {
      if (bodyLengthBytes !== undefined || !LENGTH.test(value)) return 'odd';
      bodyLengthBytes = Number(value);
    } else if (name.role === 'expect') {
      if (value.toLowerCase() !== '100-continue') return 'odd';
      expectsContinue = true;
    }
    headers.push(name.lower, value);
    line = lineEnd + 2;
  }
  if (hosts !== 1) return 'odd';
  const { body } = method;
  if (body === 'none' ? bodyLengthBytes !== undefined : body === 'declared' && bodyLengthBytes === undefined)
    return 'odd';
  if (expectsContinue && bodyLengthBytes === undefined) return 'odd';
  return {
    method: method.name,
    target: text.slice(targetAt, targetEnd),
    headers,
    keepAlive,
    bodyLengthBytes: bodyLengthBytes ?? 0,
    expectsContinue,
    end: close + 4,
  };
}

/** Whether the few characters from `at` are the beginning of a method and target that the parser takes. */
function mayBecomeHead(text: string, at: number): boolean {
  const rest = text.slice(at, at + START_MAX);
  return METHODS.some(({ start }) => start.startsWith(rest));
}

function hasBareLineFeed(text: string, at: number): boolean {
  for (let index = text.indexOf('\n', at); index >= 0; index = text.indexOf('\n', index + 1))
    if (index === at || text.charCodeAt(index - 1) !== 0x0d) return true;
  return false;
}

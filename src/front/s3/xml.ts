/**
 * XML of requests and answers. Requests are strangers' text: document types, entities of their own, CDATA and processing
 * instructions are refused before the parser sees them, so there is nothing to expand (XML bombs) and nothing to fetch.
 */
import { isUtf8 } from 'node:buffer';
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { ForebayError } from '../../core/errors.ts';

export const XML_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n';
const XML_NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';
export const XML_HEADERS: readonly string[] = ['Content-Type', 'application/xml'];

const NAMED: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};
const ESCAPED = /[&<>"'\p{Cc}\ufffe\uffff]/gu;

/**
 * Text for an element. Control characters become numeric references, as S3 has it: XML 1.0 has no way to write them, and
 * clients that meet such keys ask for `encoding-type=url`.
 */
export function escapeXml(text: string): string {
  return text.replace(ESCAPED, (character) => NAMED[character] ?? `&#x${character.charCodeAt(0).toString(16)};`);
}

/** `<name>text</name>`. */
export function element(name: string, text: string | number | boolean): string {
  return `<${name}>${typeof text === 'string' ? escapeXml(text) : text}</${name}>`;
}

/** `<name xmlns=…>children</name>`, without the declaration. */
export function rootElement(name: string, ...children: readonly string[]): string {
  return `<${name} xmlns="${XML_NAMESPACE}">${children.join('')}</${name}>`;
}

export function xmlDocument(root: string): Buffer {
  return Buffer.from(XML_DECLARATION + root, 'utf8');
}

/** An element as parsed: text, or children by name. Values in `lists` are always arrays. */
export type XmlValue = string | { readonly [name: string]: XmlValue } | readonly XmlValue[];

const REFERENCE = /&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|(amp|lt|gt|quot|apos));|&/g;
const NAMED_BACK: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function unescapeXml(text: string): string {
  return text.replace(REFERENCE, (whole, decimal?: string, hex?: string, name?: string) => {
    if (name !== undefined) return NAMED_BACK[name] as string;
    const code = decimal === undefined ? Number.parseInt(hex ?? '', 16) : Number(decimal);
    const isCharacter = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    if (whole === '&' || !isCharacter) throw malformed('an entity is unknown');
    return String.fromCodePoint(code);
  });
}

function malformed(what: string): ForebayError {
  return new ForebayError('malformedXml', `the XML of the request cannot be read: ${what}`);
}

/** Deeper than any request of S3. */
const DEPTH_MAX = 8;

function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (const [tag] of text.matchAll(/<[^>]*>/g)) {
    if (tag.startsWith('</')) depth--;
    else if (!tag.endsWith('/>') && !tag.startsWith('<?')) deepest = Math.max(deepest, ++depth);
    if (deepest > DEPTH_MAX) break;
  }
  return deepest;
}

/** The children of the root `name`. Throws malformedXml. The caller has bounded the size. */
export function parseXml(bytes: Buffer, name: string, lists: readonly string[]): { readonly [name: string]: XmlValue } {
  if (!isUtf8(bytes)) throw malformed('it is not UTF-8');
  const text = bytes.toString('utf8').replace(/^\ufeff/, '');
  if (/<!|<\?(?!xml\s)/.test(text)) throw malformed('document types, comments, CDATA and instructions are not taken');
  if (depthOf(text) > DEPTH_MAX) throw malformed('it is nested too deeply');
  const verdict = XMLValidator.validate(text);
  if (verdict !== true) throw malformed(verdict.err.msg);
  const parser = new XMLParser({
    ignoreAttributes: true,
    ignoreDeclaration: true,
    removeNSPrefix: true,
    parseTagValue: false,
    trimValues: false,
    processEntities: false,
    isArray: (tag) => lists.includes(tag),
    tagValueProcessor: (_tag, value) => unescapeXml(value),
  });
  const parsed = parseWith(parser, text);
  const root = Object.hasOwn(parsed, name) ? parsed[name] : undefined;
  if (root === '') return {};
  if (root === undefined || typeof root === 'string' || Array.isArray(root))
    throw malformed(`its root must be ${name}`);
  return root as { readonly [name: string]: XmlValue };
}

/** The parser refuses some names, such as `__proto__`, by an error of its own. */
function parseWith(parser: XMLParser, text: string): Readonly<Record<string, XmlValue>> {
  try {
    return parser.parse(text) as Readonly<Record<string, XmlValue>>;
  } catch (error) {
    if (error instanceof ForebayError) throw error;
    throw malformed('a name is not taken');
  }
}

/** The text of a child, `undefined` where there is none. */
export function textOf(parent: XmlValue, name: string): string | undefined {
  if (typeof parent !== 'object' || Array.isArray(parent)) return undefined;
  const value = (parent as { readonly [name: string]: XmlValue })[name];
  return typeof value === 'string' ? value : undefined;
}

/** The children of that name, which was among `lists`. */
export function listOf(parent: { readonly [name: string]: XmlValue }, name: string): readonly XmlValue[] {
  const value = parent[name];
  return Array.isArray(value) ? value : [];
}

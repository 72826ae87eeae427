import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeChunked } from './aws-chunked.ts';
import { KEY } from './door-fixture.ts';
import { SigningKey } from './signing-key.ts';
import type { ChunkSeed } from './sigv4.ts';

const SEED: ChunkSeed = {
  key: new SigningKey(KEY, { date: '20261122', region: 'us-east-1' }),
  signature: 'f'.repeat(64),
  date: '20261122T120000Z',
  scope: '20261122/us-east-1/s3/aws4_request',
};

/** As a client encodes it. */
function encode(
  chunks: readonly Uint8Array[],
  options: { signed?: boolean; trailers?: readonly string[] } = {},
): Buffer {
  const parts: Uint8Array[] = [];
  let previous = SEED.signature;
  const sign = (algorithm: string, digests: string) => {
    previous = SEED.key.sign(`${algorithm}\n${SEED.date}\n${SEED.scope}\n${previous}\n${digests}`);
    return previous;
  };
  for (const chunk of [...chunks.filter(({ length }) => length > 0), Buffer.alloc(0)]) {
    const signature = sign('AWS4-HMAC-SHA256-PAYLOAD', `${hash('sha256', '')}\n${hash('sha256', chunk)}`);
    parts.push(Buffer.from(`${chunk.length.toString(16)}${options.signed ? `;chunk-signature=${signature}` : ''}\r\n`));
    if (chunk.length > 0) parts.push(chunk, Buffer.from('\r\n'));
  }
  for (const trailer of options.trailers ?? []) parts.push(Buffer.from(`${trailer}\r\n`));
  if (options.signed && options.trailers) {
    const canonical = options.trailers.map((trailer) => `${trailer}\n`).join('');
    const signature = sign('AWS4-HMAC-SHA256-TRAILER', hash('sha256', canonical));
    parts.push(Buffer.from(`x-amz-trailer-signature:${signature}\r\n`));
  }
  parts.push(Buffer.from('\r\n'));
  return Buffer.concat(parts);
}

/** Yields `bytes` cut into pieces of the given lengths, over and over. */
async function* cut(bytes: Uint8Array, lengths: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (let index = 0; at < bytes.length; index++) {
    const length = lengths[index % lengths.length] as number;
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

async function decode(bytes: Uint8Array, options: { signed?: boolean; trailer?: boolean; lengths?: number[] } = {}) {
  const trailers: string[] = [];
  const parts: Uint8Array[] = [];
  const decoded = decodeChunked(cut(bytes, options.lengths ?? [bytes.length || 1]), {
    seed: options.signed === true ? SEED : undefined,
    trailer: options.trailer ?? false,
    onTrailer: (name, value) => trailers.push(`${name}:${value}`),
  });
  for await (const part of decoded) parts.push(Buffer.from(part));
  return { bytes: Buffer.concat(parts), trailers };
}

test('whatever the chunks and however the network cuts them, the bytes come back', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 5 }),
      fc.array(fc.integer({ min: 1, max: 97 }), { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      fc.constantFrom(undefined, ['x-amz-checksum-crc32:AAAAAA=='], ['a:1', 'b:2']),
      async (chunks, lengths, signed, trailers) => {
        const encoded = encode(chunks, { signed, ...(trailers === undefined ? {} : { trailers }) });
        const decoded = await decode(encoded, { signed, lengths, trailer: trailers !== undefined });
        assert.deepEqual(decoded, { bytes: Buffer.concat(chunks), trailers: trailers ?? [] });
      },
    ),
    { numRuns: 300 },
  );
});

test('one flipped byte of a signed body never passes', async () => {
  const encoded = encode([Buffer.from('hello'), Buffer.from('world')], {
    signed: true,
    trailers: ['x-amz-checksum-crc32:AAAAAA=='],
  });
  // The blank line at the end says nothing.
  for (let at = 0; at < encoded.length - 2; at++) {
    const flipped = Buffer.from(encoded);
    flipped[at]! ^= 1;
    await assert.rejects(
      decode(flipped, { signed: true, trailer: true }),
      JSON.stringify(flipped.toString('latin1', Math.max(0, at - 20), at + 20)),
    );
  }
});

test('a body that is cut short is incomplete', async () => {
  const encoded = encode([Buffer.from('hello')]);
  for (let length = 0; length < 10; length++)
    await assert.rejects(decode(encoded.subarray(0, length)), { code: 'incompleteBody' });
});

test('what is no aws-chunked body is refused', async () => {
  const malformed = { code: 'malformedChunk' };
  for (const text of [
    'zz\r\n',
    '5;x=1\r\nhello\r\n0\r\n\r\n',
    '-5\r\n',
    '5\r\nhelloXX0\r\n\r\n',
    'f'.repeat(5000),
    '\r\n',
  ])
    await assert.rejects(decode(Buffer.from(text)), malformed, JSON.stringify(text.slice(0, 20)));
  await assert.rejects(decode(Buffer.from('0\r\n\r\nmore')));
  await assert.rejects(decode(Buffer.from('0\r\n\r\nmore\r\n')), malformed);
  await assert.rejects(decode(Buffer.from('0\r\nx-not:announced\r\n\r\n')), malformed);
  await assert.rejects(decode(Buffer.from(`0\r\nx:${'y'.repeat(9000)}\r\n\r\n`), { trailer: true }), malformed);
  await assert.rejects(decode(encode([Buffer.from('a')]), { signed: true }), { code: 'signatureMismatch' });
});

test('chunks of a signed body cannot be reordered or left out', async () => {
  const [one, two] = [Buffer.from('11111'), Buffer.from('22222')];
  const text = encode([one, two], { signed: true }).toString('latin1');
  const chunks = text.split(/(?<=11111\r\n|22222\r\n)/);
  assert.equal(chunks.length, 3);
  for (const order of [
    [1, 0, 2],
    [0, 2],
    [0, 0, 1, 2],
  ]) {
    const bytes = Buffer.from(order.map((index) => chunks[index]).join(''), 'latin1');
    await assert.rejects(decode(bytes, { signed: true }), { code: 'signatureMismatch' });
  }
});

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { bencode, metainfo } from './metainfo.ts';

test('values are bencoded, with names of a dictionary in order', () => {
  assert.equal(bencode({ b: 1, a: 'spam', c: { x: Buffer.from('é') } }).toString(), 'd1:a4:spam1:bi1e1:cd1:x2:éee');
});

test('a torrent holds the SHA-1 of every piece in order', () => {
  const slices = [Buffer.alloc(4, 1), Buffer.alloc(2, 2)];
  const torrent = metainfo({ name: 'k', sizeBytes: 6, pieceBytes: 4, slices, tracker: 'http://t/announce' });
  const pieces = Buffer.concat(slices.map((slice) => createHash('sha1').update(slice).digest()));
  assert.ok(torrent.includes(Buffer.concat([Buffer.from('6:pieces40:'), pieces])));
  assert.match(
    torrent.toString('latin1'),
    /^d8:announce17:http:\/\/t\/announce4:infod6:lengthi6e4:name1:k12:piece lengthi4e/,
  );
});

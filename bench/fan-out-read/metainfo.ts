/** A torrent file (BEP 3) of one file's bytes. */
import { hash } from 'node:crypto';

type Bencoded = string | number | Buffer | { readonly [name: string]: Bencoded };

export function bencode(value: Bencoded): Buffer {
  if (typeof value === 'number') return Buffer.from(`i${value}e`);
  if (typeof value === 'string') return bencode(Buffer.from(value));
  if (Buffer.isBuffer(value)) return Buffer.concat([Buffer.from(`${value.length}:`), value]);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Buffer.concat([
    Buffer.from('d'),
    ...entries.flatMap(([name, entry]) => [bencode(name), bencode(entry)]),
    Buffer.from('e'),
  ]);
}

/** `slices` are the file's bytes in order, each of `pieceBytes` but for the last. */
export function metainfo(file: {
  name: string;
  sizeBytes: number;
  pieceBytes: number;
  slices: Iterable<Buffer>;
  tracker: string;
}): Buffer {
  const pieces = Buffer.concat([...file.slices].map((slice) => hash('sha1', slice, 'buffer')));
  return bencode({
    announce: file.tracker,
    info: { length: file.sizeBytes, name: file.name, 'piece length': file.pieceBytes, pieces },
  });
}

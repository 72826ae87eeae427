/** Who sends the bytes of a version to the origin. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ForebayError } from '../core/errors.ts';
import { type ContentId, newContentId } from '../core/ids.ts';
import type { Json, PeerMessage } from '../io/peers.ts';
import { type DrainCluster, PartUploads } from './part-uploads.ts';

const CONTENT: ContentId = newContentId({ wallMs: 1, random: new Uint8Array(10) });
const PUT = {
  volume: 'v',
  key: 'k',
  content: CONTENT,
  sizeBytes: 5,
  chunkSizeBytes: 1 << 20,
  isUrgent: false,
  headers: {},
  metadata: {},
  condition: undefined,
};

/** A cluster of these nodes, of which only some have the bytes; the others say `says`. */
function clusterOf(nodes: readonly string[], holders: readonly string[], says: 'notHeld' | 'overloaded' = 'notHeld') {
  const asked: string[] = [];
  const members = nodes.map((node) => ({ node, session: node }));
  const cluster = {
    self: 'keeper',
    members: { epoch: 1, members },
    member: (name: string) => members.find(({ node }) => node === name),
    onMembers: () => () => undefined,
    call: (node: string, message: PeerMessage): Promise<Json> => {
      asked.push(node);
      if (!holders.includes(node)) return Promise.reject(new ForebayError(says, `${node}: no`));
      const { number } = message;
      return Promise.resolve(number === undefined ? { etag: `"${node}"` } : { number, token: 'p', sizeBytes: 5 });
    },
  };
  return { uploads: new PartUploads(cluster as unknown as DrainCluster), asked };
}

const signal = new AbortController().signal;
const part = {
  volume: 'v',
  key: 'k',
  content: CONTENT,
  sizeBytes: 5,
  chunkSizeBytes: 1 << 20,
  isUrgent: false,
  upload: 'u',
};

test('S-3: what no node of the record has, a node that the record no longer names may have yet', async () => {
  const { uploads, asked } = clusterOf(['a', 'b', 'c'], ['c']);
  assert.deepEqual(await uploads.put(PUT, ['a', 'gone'], signal), { etag: '"c"' });
  assert.deepEqual(asked, ['a', 'b', 'c']);
  const taken: number[] = [];
  const units = [{ number: 1, start: 0, end: 5 }];
  await uploads.send(units, part, { nodes: ['a'], signal, onTaken: ({ number }) => taken.push(number) });
  assert.deepEqual(taken, [1]);
  await clusterOf(['c'], ['c']).uploads.send(units, part, { nodes: ['gone'], signal, onTaken: () => undefined });
});

test('nodes that the record does not name are left alone while one that it names is only busy', async () => {
  const { uploads, asked } = clusterOf(['a', 'c'], ['c'], 'overloaded');
  await assert.rejects(uploads.put(PUT, ['a'], signal), { code: 'overloaded' });
  assert.deepEqual(asked, ['a']);
});

test('bytes that nobody has are missed by the names of the record', async () => {
  const { uploads } = clusterOf(['b'], []);
  await assert.rejects(uploads.put(PUT, ['a'], signal), { code: 'replicasUnavailable', message: /none of a is in/ });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MiB } from './fixture.ts';
import type { ClusterNode } from './node.ts';
import { expectBytes, ramp, STAGED, stagedCluster, untilReplicated } from './staged.ts';

const PART = 5 * MiB;

interface SentPart {
  readonly number: number;
  readonly etag: string;
}

async function begin(node: ClusterNode, key: string): Promise<string> {
  const text = await (await fetch(`${node.url(`${STAGED}/${key}`)}?uploads`, { method: 'POST' })).text();
  const id = /<UploadId>([^<]+)<\/UploadId>/.exec(text)?.[1];
  assert.ok(id, text);
  return id;
}

async function send(
  node: ClusterNode,
  key: string,
  id: string,
  part: { number: number; bytes: Buffer },
): Promise<SentPart> {
  const url = `${node.url(`${STAGED}/${key}`)}?partNumber=${part.number}&uploadId=${id}`;
  const answer = await fetch(url, { method: 'PUT', body: new Uint8Array(part.bytes) });
  assert.equal(answer.status, 200, await answer.text());
  return { number: part.number, etag: answer.headers.get('etag') ?? '' };
}

async function complete(node: ClusterNode, key: string, id: string, parts: readonly SentPart[]): Promise<Response> {
  const named = parts.map(
    ({ number, etag }) =>
      `<Part><PartNumber>${number}</PartNumber><ETag>${etag.replaceAll('"', '&quot;')}</ETag></Part>`,
  );
  const body = `<CompleteMultipartUpload>${named.join('')}</CompleteMultipartUpload>`;
  return fetch(`${node.url(`${STAGED}/${key}`)}?uploadId=${id}`, { method: 'POST', body });
}

const bodyOf = (sizes: readonly number[]) => sizes.map((size, index) => ramp(size, index + 1));

test('S-14: an upload goes on after its node was killed and started again, with the parts that were acknowledged', async (t) => {
  const { nodes, start } = await stagedCluster(t, ['a', 'b']);
  const [a, b] = nodes;
  const key = 'dir/parts';
  const parts = bodyOf([PART, PART, PART, 1_234_567]);
  const id = await begin(a!, key);
  const sent = await Promise.all([3, 1].map((number) => send(a!, key, id, { number, bytes: parts[number - 1]! })));
  const foreign = await fetch(`${b!.url(`${STAGED}/${key}`)}?partNumber=2&uploadId=${id}`, {
    method: 'PUT',
    body: 'x',
  });
  assert.equal(foreign.status, 404);
  assert.match(await foreign.text(), /begun through a, and takes its parts there, not through b/);
  await a!.kill();
  const again = await start('a', { directory: a!.directory });
  sent.push(await send(again, key, id, { number: 2, bytes: parts[1]! }));
  sent.push(await send(again, key, id, { number: 4, bytes: parts[3]! }));
  sent.sort((one, other) => one.number - other.number);
  const done = await complete(again, key, id, sent);
  assert.equal(done.status, 200, await done.text());
  const repeated = await complete(again, key, id, sent);
  assert.equal(repeated.status, 200, 'a completion that is asked for again is answered again');
  await untilReplicated(again, key);
  await again.kill();
  await expectBytes(b!, key, Buffer.concat(parts));
});

test('parts that are sent again, of other sizes, or left out make the object that the completion names', async (t) => {
  const { nodes } = await stagedCluster(t, ['a', 'b'], { volume: { ack: 'replicated' } });
  const [a, b] = nodes;
  const cases: Readonly<Record<string, readonly (readonly [number, number])[]>> = {
    // number, size: in the order in which they are sent; the last of a number counts
    again: [
      [1, PART],
      [2, PART],
      [1, PART],
      [3, 77],
    ],
    shorter: [
      [1, PART + MiB],
      [2, PART],
      [3, PART + MiB],
    ],
    odd: [
      [1, PART + 1],
      [2, PART + 1],
      [3, 5],
    ],
    gap: [
      [2, PART],
      [5, PART],
      [9, 1],
    ],
    lastFirst: [
      [3, 12],
      [1, PART],
      [2, PART],
    ],
  };
  for (const [name, order] of Object.entries(cases)) {
    const key = `dir/${name}`;
    const id = await begin(a!, key);
    const latest = new Map<number, { bytes: Buffer; sent: SentPart }>();
    for (const [index, [number, size]] of order.entries()) {
      const bytes = ramp(size, index + 10);
      latest.set(number, { bytes, sent: await send(a!, key, id, { number, bytes }) });
    }
    const named = [...latest.values()].sort((one, other) => one.sent.number - other.sent.number);
    const done = await complete(
      a!,
      key,
      id,
      named.map(({ sent }) => sent),
    );
    assert.equal(done.status, 200, `${name}: ${await done.text()}`);
    const whole = Buffer.concat(named.map(({ bytes }) => bytes));
    for (const node of [a!, b!]) await expectBytes(node, key, whole);
  }
  const id = await begin(a!, 'dir/aborted');
  const sent = await send(a!, 'dir/aborted', id, { number: 1, bytes: ramp(PART) });
  const gone = await fetch(`${a!.url(`${STAGED}/dir/aborted`)}?uploadId=${id}`, { method: 'DELETE' });
  assert.equal(gone.status, 204);
  assert.equal((await complete(a!, 'dir/aborted', id, [sent])).status, 404);
  assert.equal((await a!.status()).store.stagedBytes, 0, 'an aborted upload holds no space');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Disk } from '../io/io.ts';
import { BodyStager } from './body-stager.ts';
import type { WriteBody } from './writer.ts';

const MiB = 1 << 20;
const disk = { allocate: (length: number) => new Uint8Array(length) } as unknown as Disk;
const ramp = (size: number) => Buffer.from(Array.from({ length: size }, (_, at) => (at * 7) % 251));

function bodyOf(bytes: Buffer, pieceBytes: number, lengthBytes = bytes.length): WriteBody {
  return {
    lengthBytes,
    async *stream() {
      for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
    },
  };
}

class Target {
  readonly bytes = Buffer.alloc(8 * MiB, 0xff);
  readonly writes: [number, number][] = [];
  failing: Error | undefined;

  async write(position: number, bytes: Uint8Array): Promise<void> {
    const copy = Uint8Array.from(bytes);
    await Promise.resolve();
    if (this.failing) throw this.failing;
    this.writes.push([position, bytes.length]);
    this.bytes.set(copy, position);
  }

  receiveRange(): Promise<void> {
    return Promise.reject(new Error('no body here goes round the stager'));
  }
}

test('a body reaches the disk in whole blocks, whatever pieces it comes in, also from the middle of one', async () => {
  const stager = new BodyStager(disk);
  const { signal } = new AbortController();
  const body = ramp(3 * MiB + 12_345);
  for (const pieceBytes of [1000, 65_536, MiB + 1, 4 * MiB])
    for (const at of [0, MiB, 5, MiB - 1]) {
      const target = new Target();
      await stager.stage(bodyOf(body, pieceBytes), target, at, signal);
      assert.ok(target.bytes.subarray(at, at + body.length).equals(body), `${pieceBytes} from ${at}`);
      for (const [position, length] of target.writes)
        assert.ok(Math.floor(position / MiB) === Math.floor((position + length - 1) / MiB), 'no write crosses a block');
      const inner = target.writes.filter(([position]) => position > at && position + MiB <= at + body.length);
      assert.ok(inner.every(([position, length]) => position % MiB === 0 && length === MiB));
    }
});

test('a small body is handed back, for it travels inside a message', async () => {
  const target = new Target();
  const { signal } = new AbortController();
  const bytes = await new BodyStager(disk).stage(bodyOf(ramp(1000), 100), target, 0, signal);
  assert.ok(ramp(1000).equals(bytes ?? Buffer.alloc(0)));
  assert.deepEqual(target.writes, [[0, 1000]]);
});

test('a body that is shorter or longer than declared, or a disk that fails, rejects, and no write is left under way', async () => {
  const stager = new BodyStager(disk);
  const { signal } = new AbortController();
  for (const declared of [2 * MiB, 4 * MiB, 1000]) {
    const target = new Target();
    await assert.rejects(stager.stage(bodyOf(ramp(3 * MiB), 65_536, declared), target, 0, signal), {
      code: 'incompleteBody',
    });
  }
  const target = new Target();
  target.failing = new Error('the disk is on fire');
  await assert.rejects(stager.stage(bodyOf(ramp(3 * MiB), 65_536), target, 0, signal), /on fire/);
});

import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Event } from '../../observe/events.ts';
import { loadLibc } from './libc.ts';
import { createRealIo } from './real-io.ts';

for (const ffi of ['auto', 'off'] as const) {
  test(`the io of a node: what its disk writes, its network sends (ffi ${ffi})`, async (t) => {
    const cacheDirectory = fs.mkdtempSync(join(tmpdir(), 'forebay-io-'));
    t.after(() => fs.rmSync(cacheDirectory, { recursive: true }));
    const events: Event[] = [];
    const io = createRealIo({ cacheDirectory, emit: (event) => events.push(event), ffi });
    const libc = loadLibc(ffi);
    assert.equal(io.network.path, libc.available ? 'sendfile' : 'portable');
    assert.equal(io.ffiMissing, libc.available ? undefined : libc.reason);
    if (ffi === 'off') assert.match(io.ffiMissing ?? '', /switched off/);

    const file = await io.disk.open(join(cacheDirectory, 'a'), { write: true, create: true });
    const bytes = io.disk.allocate(300_000);
    bytes.set(io.random.bytes(300_000));
    await file.write(0, bytes);
    const server = net.createServer(async (connection) => {
      await io.network.sendFile({ connection, file, range: { start: 1000, end: 300_000 } });
      connection.end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
    const received: Buffer[] = [];
    for await (const piece of client) received.push(piece as Buffer);
    assert.ok(Buffer.concat(received).equals(Buffer.from(bytes.subarray(1000))));
    server.close();
    await file.close();
    await io.close();
    await assert.rejects(io.disk.stat(cacheDirectory), { code: 'ECANCELED' });
    assert.deepEqual(events, []);
  });
}

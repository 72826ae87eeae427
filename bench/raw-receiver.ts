/**
 * The floor under a pull: one blocking socket, one buffer of 1 MiB, `recv` with MSG_WAITALL and `pwrite`, and nothing else:
 * no checksums, no frames, no readiness. Blocks the thread that calls it.
 */
const MiB = 1 << 20;
const AF_INET = 2;
const SOCK_STREAM = 1;
const MSG_WAITALL = 0x100;

function open() {
  return process.getBuiltinModule('node:ffi').dlopen(null, {
    socket: { return: 'i32', arguments: ['i32', 'i32', 'i32'] },
    connect: { return: 'i32', arguments: ['i32', 'pointer', 'u32'] },
    send: { return: 'i64', arguments: ['i32', 'pointer', 'u64', 'i32'] },
    recv: { return: 'i64', arguments: ['i32', 'pointer', 'u64', 'i32'] },
    pwrite: { return: 'i64', arguments: ['i32', 'pointer', 'u64', 'i64'] },
    close: { return: 'i32', arguments: ['i32'] },
  }).functions;
}

let calls: ReturnType<typeof open> | undefined;
const memory = new ArrayBuffer(MiB);

/** Connects to a port of 127.0.0.1, sends one byte, and writes the `sizeBytes` that come to the file `fd`. */
export function receiveRaw(port: number, fd: number, sizeBytes: number): void {
  calls ??= open();
  const pointer = process.getBuiltinModule('node:ffi').getRawPointer(memory);
  const address = new DataView(memory);
  address.setUint16(0, AF_INET, true);
  address.setUint16(2, port);
  address.setUint32(4, 0x7f000001);
  const socket = calls.socket(AF_INET, SOCK_STREAM, 0);
  try {
    if (calls.connect(socket, pointer, 16) !== 0) throw new Error('the raw floor cannot connect');
    calls.send(socket, pointer, 1n, 0);
    for (let at = 0; at < sizeBytes; ) {
      const came = calls.recv(socket, pointer, BigInt(Math.min(MiB, sizeBytes - at)), MSG_WAITALL);
      if (came <= 0n || calls.pwrite(fd, pointer, came, BigInt(at)) !== came)
        throw new Error('the raw floor broke off');
      at += Number(came);
    }
  } finally {
    calls.close(socket);
  }
}

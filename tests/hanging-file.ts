/**
 * A file whose reads hang when told to: the smallest FUSE server that can be, in a process of its own. (A frozen file
 * system hangs writes only.) Needs root and /dev/fuse. The file is a ramp modulo 251.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

export interface HangingFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** Reads that the page cache cannot answer wait from now on. */
  hang(): void;
  resume(): void;
}

/** The file, or the reason why there is none. */
export async function mountHangingFile(t: TestContext, sizeBytes: number): Promise<HangingFile | string> {
  if (process.getuid?.() !== 0) return 'mounting needs root';
  if (!fs.existsSync('/dev/fuse')) return 'this machine has no /dev/fuse';
  const directory = fs.mkdtempSync(join(tmpdir(), 'forebay-hanging-'));
  const flags = ['--disable-warning=ExperimentalWarning', fileURLToPath(import.meta.url)];
  const child = spawn(process.execPath, [...flags, directory, String(sizeBytes)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(async () => {
    child.kill('SIGKILL');
    await once(child, 'close');
    await once(spawn('umount', ['-l', directory], { stdio: 'ignore' }), 'close');
    fs.rmdirSync(directory);
  });
  const [line] = await Promise.race([once(createInterface(child.stdout), 'line'), once(child, 'exit')]);
  if (line !== 'mounted') return `FUSE does not mount here: ${line}`;
  return {
    path: join(directory, 'file'),
    sizeBytes,
    hang: () => void child.stdin.write('hang\n'),
    resume: () => void child.stdin.write('resume\n'),
  };
}

const ENOENT = 2;
const ENOSYS = 38;
const OP = { lookup: 1, forget: 2, getattr: 3, open: 14, read: 15, release: 18, init: 26, batchForget: 42 } as const;
const FILE_INODE = 2n;
const READ_MAX_BYTES = 1 << 17;
const RAMP = Buffer.from(Uint8Array.from({ length: READ_MAX_BYTES + 251 }, (_, index) => index % 251));

function attributes(inode: bigint, sizeBytes: number): Buffer {
  const attr = Buffer.alloc(88);
  attr.writeBigUInt64LE(inode, 0);
  attr.writeBigUInt64LE(inode === FILE_INODE ? BigInt(sizeBytes) : 0n, 8);
  attr.writeUInt32LE(inode === FILE_INODE ? 0o100644 : 0o040755, 60);
  attr.writeUInt32LE(1, 64);
  attr.writeUInt32LE(4096, 80);
  return attr;
}

/** The answer's body, an error number, or nothing where the kernel waits for none. */
function answer(opcode: number, request: Buffer, sizeBytes: number): Buffer | number | undefined {
  switch (opcode) {
    case OP.init: {
      const body = Buffer.alloc(64);
      body.writeUInt32LE(7, 0);
      body.writeUInt32LE(31, 4);
      body.writeUInt32LE(READ_MAX_BYTES, 8);
      body.writeUInt32LE(READ_MAX_BYTES, 20);
      return body;
    }
    case OP.lookup: {
      if (request.toString('utf8', 40, request.length - 1) !== 'file') return ENOENT;
      const head = Buffer.alloc(40);
      head.writeBigUInt64LE(FILE_INODE, 0);
      head.writeBigUInt64LE(3600n, 16);
      head.writeBigUInt64LE(3600n, 24);
      return Buffer.concat([head, attributes(FILE_INODE, sizeBytes)]);
    }
    case OP.getattr: {
      const head = Buffer.alloc(16);
      head.writeBigUInt64LE(3600n, 0);
      return Buffer.concat([head, attributes(request.readBigUInt64LE(16), sizeBytes)]);
    }
    case OP.open:
      return Buffer.alloc(16);
    case OP.read: {
      const at = Number(request.readBigUInt64LE(48));
      const length = Math.max(0, Math.min(request.readUInt32LE(56), sizeBytes - at));
      return RAMP.subarray(at % 251, (at % 251) + length);
    }
    case OP.release:
      return Buffer.alloc(0);
    case OP.forget:
    case OP.batchForget:
      return undefined;
    default:
      return ENOSYS;
  }
}

/** The server: serves until it is killed. */
function serve(directory: string, sizeBytes: number): void {
  const ffi = process.getBuiltinModule('node:ffi');
  const { mount } = ffi.dlopen(null, {
    mount: { return: 'i32', arguments: ['string', 'string', 'string', 'u64', 'string'] },
  }).functions;
  const fd = fs.openSync('/dev/fuse', 'r+');
  const options = `fd=${fd},rootmode=40000,user_id=0,group_id=0`;
  const mounted = mount('forebay-test', directory, 'fuse', 0n, options) === 0;
  process.stdout.write(mounted ? 'mounted\n' : 'mount(2) failed\n');
  if (!mounted) return;
  let hanging = false;
  let held: (() => void)[] = [];
  createInterface(process.stdin).on('line', (line) => {
    hanging = line === 'hang';
    if (hanging) return;
    for (const reply of held) reply();
    held = [];
  });
  const buffer = Buffer.alloc(1 << 18);
  const next = (): void =>
    fs.read(fd, buffer, 0, buffer.length, null, (error, length) => {
      if (error) process.exit(0);
      const request = Buffer.from(buffer.subarray(0, length));
      const opcode = request.readUInt32LE(4);
      const reply = () => {
        const body = answer(opcode, request, sizeBytes);
        if (body === undefined) return;
        const head = Buffer.alloc(16);
        const payload = typeof body === 'number' ? Buffer.alloc(0) : body;
        head.writeUInt32LE(16 + payload.length, 0);
        head.writeInt32LE(typeof body === 'number' ? -body : 0, 4);
        request.copy(head, 8, 8, 16);
        fs.writeSync(fd, Buffer.concat([head, payload]));
      };
      if (hanging && opcode === OP.read) held.push(reply);
      else reply();
      next();
    });
  next();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) serve(process.argv[2] as string, Number(process.argv[3]));

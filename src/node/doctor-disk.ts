/** What `forebay doctor` asks of the cache directory: what it lies on, and what that can do. */
import { mkdtemp, readFile, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { formatSize } from '../core/quantity.ts';
import { type Disk, DiskError } from '../io/io.ts';
import { createRealDisk } from '../io/real/disk.ts';
import type { Config } from './config.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

const MEMORY_FILE_SYSTEMS = ['tmpfs', 'ramfs', 'devtmpfs'];
const NETWORK_FILE_SYSTEMS = ['nfs', 'nfs4', 'cifs', 'smb3', '9p', 'ceph', 'lustre', 'fuse', 'fuseblk'];
const FREE_MIN_BYTES = 1 << 30;
const PROBE_BYTES = 1 << 20;

export async function diagnoseDisk(config: Config): Promise<Finding[]> {
  const { cacheDir, capacityBytes } = config.node;
  const nearest = await existing(cacheDir);
  const findings: Finding[] = [];
  const disk = createRealDisk({ ffi: config.node.ffi });
  try {
    findings.push(await fileSystem(nearest), await space(nearest, capacityBytes));
    findings.push(...(await abilities(disk, nearest)));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    findings.push(
      fail(
        'cache directory',
        `${cacheDir} cannot be used: ${code}`,
        'Set node.cacheDir to a directory that this user may write.',
      ),
    );
  } finally {
    await disk.close();
  }
  return findings;
}

/** The directory itself, or the nearest one above it that is there. */
async function existing(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  return found?.isDirectory() || path === '/' ? path : existing(dirname(path));
}

/** Whether a directory, or where it would be made, is lost with the machine. */
export async function isInMemory(path: string): Promise<boolean> {
  const mount = await mountOf(await existing(path));
  return mount !== undefined && MEMORY_FILE_SYSTEMS.includes(mount.type);
}

async function fileSystem(path: string): Promise<Finding> {
  const mount = await mountOf(path);
  const name = 'file system';
  if (!mount) return warn(name, `what ${path} lies on is not known`, 'Forebay is made for Linux with local NVMe.');
  const text = `${path} lies on ${mount.type} (${mount.device})`;
  if (MEMORY_FILE_SYSTEMS.includes(mount.type))
    return warn(
      name,
      `${text}: memory, lost with the machine`,
      'Fine for tests; else set node.cacheDir to a local disk.',
    );
  if (NETWORK_FILE_SYSTEMS.some((type) => mount.type === type || mount.type.startsWith(`${type}.`)))
    return warn(
      name,
      `${text}: not a local disk`,
      'Set node.cacheDir to a local disk: a cache behind a network is no cache.',
    );
  if (mount.type === 'overlay')
    return warn(
      name,
      `${text}: the layer of a container, lost with it and slow`,
      'Mount a disk of the host into the container.',
    );
  if (/^\/dev\/nvme\d+n\d+(p\d+)?$/.test(mount.device))
    return ok(name, `${text}: local NVMe, which on cloud machines survives a restart, but no redeploy`);
  return ok(name, text);
}

async function mountOf(path: string): Promise<{ device: string; type: string } | undefined> {
  const text = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '');
  let best: { point: string; device: string; type: string } | undefined;
  for (const line of text.split('\n')) {
    const [front = '', back = ''] = line.split(' - ');
    const point = (front.split(' ')[4] ?? '').replace(/\\(\d{3})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    );
    const [type = '', device = ''] = back.split(' ');
    const covers = point !== '' && (path === point || path.startsWith(point === '/' ? '/' : `${point}/`));
    if (covers && (!best || point.length >= best.point.length)) best = { point, device, type };
  }
  return best;
}

async function space(path: string, capacityBytes: number | undefined): Promise<Finding> {
  const { bavail, blocks, bsize } = await statfs(path);
  const free = bavail * bsize;
  const total = blocks * bsize;
  const text = `${formatSize(free)} of ${formatSize(total)} free`;
  if (free < FREE_MIN_BYTES) return warn('space', text, 'Free some space, or set node.cacheDir to another disk.');
  if (capacityBytes !== undefined && capacityBytes > total)
    return fail(
      'space',
      `${text}, but node.capacity is ${formatSize(capacityBytes)}`,
      'Set node.capacity to less than the disk has.',
    );
  return ok(
    'space',
    capacityBytes === undefined
      ? `${text}; capacity is decided at the first start`
      : `${text}; capacity ${formatSize(capacityBytes)}`,
  );
}

async function abilities(disk: Disk, path: string): Promise<Finding[]> {
  const directory = await mkdtemp(join(path, '.forebay-doctor-'));
  try {
    const from = `${directory}/a`;
    const file = await disk.open(from, { write: true, create: true });
    const bytes = disk.allocate(PROBE_BYTES).fill(1);
    await file.write(0, bytes);
    await file.sync();
    const punches = await canPunch(disk, () => file.punch({ start: 0, end: PROBE_BYTES }));
    await file.close();
    const clones = await disk.clone(from, `${directory}/b`);
    return [
      ok('writing', 'a synced write succeeded'),
      punches
        ? ok('punch', 'parts of contents can be evicted')
        : warn(
            'punch',
            'no holes can be punched: whole contents are evicted',
            'xfs, ext4 and btrfs can, with node:ffi.',
          ),
      clones
        ? ok('reflink', '`warm --to` lays objects out without copying')
        : ok('reflink', 'not offered here: `warm --to` links, or copies across file systems'),
    ];
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function canPunch(disk: Disk, punch: () => Promise<void>): Promise<boolean> {
  try {
    if (disk.canPunch) await punch();
    return disk.canPunch;
  } catch (error) {
    if (error instanceof DiskError) return false;
    throw error;
  }
}

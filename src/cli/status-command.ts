/** `forebay status`. */
import { formatDuration, formatSize } from '../core/quantity.ts';
import type { MembershipStatus, NodeStatus, VolumeStatus } from '../front/admin/node-status.ts';
import { DONE } from './failure.ts';
import { type Output, printable } from './output.ts';
import { type ClientOptions, clientOf } from './session.ts';

export async function status(_: readonly string[], options: ClientOptions, output: Output): Promise<number> {
  const found = await (await clientOf(options)).get<NodeStatus>('/v1/status');
  if (output.json) {
    output.object(found);
    return DONE;
  }
  const { store, memory } = found;
  const doors = Object.entries(found.doors).map(([name, address]) => `${name} ${address}`);
  output.line(
    `node     ${printable(found.name)}${found.zone === null ? '' : ` in ${printable(found.zone)}`}, forebay ${found.version}, pid ${found.pid}, up ${formatDuration(found.uptimeMs)}, ${found.ready ? 'ready' : 'NOT READY'}`,
  );
  output.line(
    `doors    ${doors.join(', ')} (hits leave by ${found.network === 'sendfile' ? 'sendfile' : 'Node streams'})`,
  );
  output.line(
    `memory   ${formatSize(memory.rssBytes)} of which ${formatSize(memory.heapBytes)} heap; budget ${formatSize(memory.budgetBytes)}`,
  );
  const share = store.capacityBytes > 0 ? Math.round((100 * store.usedBytes) / store.capacityBytes) : 0;
  output.line(
    `store    ${printable(store.directory)}: ${formatSize(store.usedBytes)} of ${formatSize(store.capacityBytes)} used (${share} %), disk ${store.disk}`,
  );
  output.line(
    `         ${store.contents} contents and ${store.smallContents} small ones, ${store.facts} facts, ${formatSize(store.pinnedBytes)} pinned, ${store.orphans} orphans, ${store.corruptBlocks} corrupt blocks`,
  );
  output.line('');
  printVolumes(found.volumes, output);
  for (const volume of found.volumes) printWrites(volume, output);
  for (const volume of found.volumes) printKv(volume, output);
  if (found.membership !== null) printMembers(found.membership, found.name, output);
  return DONE;
}

function printMembers(membership: MembershipStatus, self: string, output: Output): void {
  output.line('');
  const state = membership.isFrozen ? ', the coordinator does not answer: the members are those of before' : '';
  const right = membership.mayAct ? '' : ', THIS NODE HAS NO SESSION';
  output.line(`cluster of ${membership.members.length}, epoch ${membership.epoch}${state}${right}`);
  const rows = membership.members.map(({ node, zone, address, capacityBytes, trouble }) => [
    node === self ? `${printable(node)} (this)` : printable(node),
    printable(zone),
    address,
    formatSize(capacityBytes),
    printable(trouble ?? ''),
  ]);
  output.table(['NODE', 'ZONE', 'PEERS REACH IT AT', 'CAPACITY', ''], rows);
}

function printWrites({ name, writes }: VolumeStatus, output: Output): void {
  if (writes === null) return;
  const { ack, replicas, dirty, exposed, replaced, uncommitted } = writes;
  const amount = ({ objects, bytes }: { objects: number; bytes: number }) =>
    `${objects} objects (${formatSize(bytes)})`;
  output.line('');
  output.line(
    `writes to ${name}: ack ${ack}, ${replicas} ${replicas === 1 ? 'copy' : 'copies'}${writes.isDegraded ? ', DEGRADED: too few nodes' : ''}`,
  );
  output.line(`  an acknowledged write is safe against ${writes.safeAgainst}`);
  output.line(
    `  held here: ${amount(dirty)} not in the origin, ${amount(exposed)} of them nowhere else, ${amount(uncommitted)} not committed`,
  );
  if (replaced.objects > 0)
    output.line(`  ${amount(replaced)} were replaced, and wait for their readers for 10 minutes`);
}

function printKv({ name, kv }: VolumeStatus, output: Output): void {
  if (kv === null) return;
  const share = kv.shareBytes > 0 ? Math.round((100 * kv.bytes) / kv.shareBytes) : 0;
  const ends = kv.ttlMs === null ? 'kept until evicted' : `forgotten after ${formatDuration(kv.ttlMs)}`;
  output.line('');
  output.line(
    `values of ${name}: ${kv.values} here, ${formatSize(kv.bytes)} of this node's ${formatSize(kv.shareBytes)} (${share} %), ${formatSize(kv.leasedBytes)} of them promised; ${ends}`,
  );
  output.line(
    `  ${kv.evicted} evicted, ${kv.expired} expired${kv.respDb === null ? '' : `; SELECT ${kv.respDb} at the RESP door`}`,
  );
}

export function printVolumes(volumes: readonly VolumeStatus[], output: Output): void {
  const rows = volumes.map((volume) => [
    volume.name,
    volume.origin,
    volume.write ? 'read, write' : 'read',
    volume.kv === null ? revalidation(volume.revalidateMs) : '-',
    volume.kv !== null ? '-' : `${volume.reach}${volume.message === undefined ? '' : `: ${printable(volume.message)}`}`,
  ]);
  output.table(['VOLUME', 'ORIGIN', 'MAY', 'REVALIDATE', 'ORIGIN IS'], rows);
}

function revalidation(ms: number | null): string {
  if (ms === null) return 'never';
  return ms === 0 ? 'always' : formatDuration(ms);
}

/** Who owns what in a real cluster, found as its nodes find it. */
import { Placement } from '../../src/cluster/placement.ts';
import { type Slot, slotOfChunk, slotOfDirectory } from '../../src/cluster/slot.ts';
import { originContentId } from '../../src/core/ids.ts';
import type { ClusterNode, TestObject } from './node.ts';

/** The content id of an object of the counting origin. */
export function contentOf(volume: string, { key, seed, sizeBytes }: TestObject) {
  const etag = `"${seed.toString(16).padStart(8, '0')}${sizeBytes.toString(16)}-1"`;
  return originContentId({ volume, key, etag });
}

async function placementOf(node: ClusterNode): Promise<Placement> {
  const { membership } = await node.status();
  const placement = new Placement();
  const nowhere = { host: '127.0.0.1', port: 1 };
  const members = (membership?.members ?? []).map((member) => ({
    ...member,
    session: '',
    protocol: 1,
    address: nowhere,
  }));
  placement.update({ epoch: 1, members });
  return placement;
}

const ownerOf = (placement: Placement, slot: Slot) => placement.owner(slot)?.node ?? '';

/** Owners of the chunks of an object, as this node sees them → how many each has. */
export async function chunkOwners(
  node: ClusterNode,
  volume: string,
  object: TestObject,
  chunkBytes: number,
): Promise<Map<string, number>> {
  const placement = await placementOf(node);
  const owners = new Map<string, number>();
  const content = contentOf(volume, object);
  for (let chunk = 0; chunk * chunkBytes < object.sizeBytes; chunk++) {
    const owner = ownerOf(placement, slotOfChunk({ content, chunk }));
    owners.set(owner, (owners.get(owner) ?? 0) + 1);
  }
  return owners;
}

/** The owner of the metadata of a key, as this node sees it. */
export async function metadataOwner(node: ClusterNode, volume: string, key: string): Promise<string> {
  return ownerOf(await placementOf(node), slotOfDirectory(volume, key));
}

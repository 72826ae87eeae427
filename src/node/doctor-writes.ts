/** What `forebay doctor` says of volumes whose writes are held by nodes before the origin has them. */
import type { Config } from './config.ts';
import { type Finding, ok, warn } from './finding.ts';

/** `zones`: of the members, this node's among them. */
export function diagnoseWrites(config: Config, { zones, isMemory }: WritesSurroundings): Finding[] {
  return config.volumes.flatMap(({ volume }) => {
    const { name, writes } = volume;
    if (writes === undefined) return [];
    const check = `writes to ${name}`;
    const findings: Finding[] = [];
    if (writes.replicas > zones.length)
      findings.push(
        warn(
          check,
          `replicas = ${writes.replicas}, but ${zones.length === 1 ? 'this is the only node' : `only ${zones.length} nodes are there`}: what is written has fewer copies than asked for${writes.ack === 'replicated' ? `, and onDegraded = "${writes.onDegraded}" decides` : ''}`,
          zones.length === 1
            ? 'Start more nodes (cluster.coordinator), or set replicas = 1 and know that a lost disk loses what was not drained.'
            : 'Start more nodes, or set replicas to what there are.',
        ),
      );
    else if (writes.replicas > 1 && new Set(zones).size === 1)
      findings.push(
        warn(
          check,
          'all nodes are in one zone: the copies of a write share its fate',
          'Set node.zone to what fails together: a rack, a power feed.',
        ),
      );
    if (isMemory && writes.ack !== 'origin')
      findings.push(
        warn(
          check,
          `ack = "${writes.ack}" in memory: ${writes.ack === 'local' ? 'what was acknowledged is lost with the machine until it is replicated' : 'a power cut of all nodes loses what was acknowledged'}`,
          'Set node.cacheDir to a local disk.',
        ),
      );
    return findings.length > 0 ? findings : [ok(check, `ack = "${writes.ack}", ${writes.replicas} copies`)];
  });
}

export interface WritesSurroundings {
  readonly zones: readonly string[];
  /** The cache directory is in memory. */
  readonly isMemory: boolean;
}

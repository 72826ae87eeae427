/** No open file, request, reservation or use count is left behind when a node is idle, and nothing at all when it is closed. */
import type { StoreStatus } from '../../src/core/store-status.ts';
import type { Life } from '../sim-clock.ts';
import type { SimDisk } from '../sim-disk.ts';
import type { SimOrigin } from '../sim-origin.ts';
import type { Findings } from './checker.ts';

/**
 * Nobody uses the node, faults are over, nothing is pinned, everything was evicted. A life that was killed may leave
 * bytes of versions that no key stands for any more; they go when their space is needed.
 */
export function checkIdle(
  findings: Findings,
  idle: { status: StoreStatus; keptBytes: number; wasKilled: boolean },
): void {
  const { status, keptBytes, wasKilled } = idle;
  if (status.reservedBytes !== 0) findings.add('leaks', `${status.reservedBytes} bytes are still reserved`);
  if (keptBytes > 0) findings.add('leaks', `${keptBytes} bytes could not be evicted though nobody uses them`);
  if (!wasKilled && status.presentBytes !== 0) {
    findings.add('leaks', `${status.presentBytes} bytes are present after everything was evicted`);
  }
}

/** The node was closed in good order. */
export function checkClosed(findings: Findings, life: Life, world: { disk: SimDisk; origin: SimOrigin }): void {
  const open = world.disk.openPaths(life);
  if (open.length > 0)
    findings.add('leaks', `${open.length} files are open after close: ${open.slice(0, 3).join(', ')}`);
  const requests = world.origin.requestsOpen.get(life) ?? 0;
  if (requests > 0) findings.add('leaks', `${requests} requests to the origin are open after close`);
  const bodies = world.origin.served.filter((served) => served.life === life && served.isOpen);
  if (bodies.length > 0) findings.add('leaks', `${bodies.length} bodies of the origin are open after close`);
  const inFlight = world.disk.inFlight(life);
  if (inFlight > 0) findings.add('leaks', `${inFlight} disk operations are under way after close`);
}

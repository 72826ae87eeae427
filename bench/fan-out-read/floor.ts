/** The least time in which N nodes can have an object of S bytes (DESIGN.md section 12), whatever moves it. */

export interface Goodput {
  /** Bytes per second of one raw TCP stream from one node's link to another's. */
  readonly link: number;
  /** Of raw TCP streams from the origin to several nodes, together. */
  readonly origin: number;
}

/**
 * Seconds. The object has to leave the origin once, to enter each node once, and all N copies have to leave somewhere: from
 * the origin or from a node's link.
 */
export function floorSeconds(options: { nodes: number; sizeBytes: number; goodput: Goodput }): number {
  const { nodes, sizeBytes, goodput } = options;
  return Math.max(
    sizeBytes / goodput.origin,
    sizeBytes / goodput.link,
    (nodes * sizeBytes) / (goodput.origin + nodes * goodput.link),
  );
}

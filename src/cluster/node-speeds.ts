/**
 * Which nodes of a broadcast are too slow to serve: one at a tenth of the others' speed, left in the middle, takes the
 * whole broadcast of eight nodes down to a quarter (FACTS.md).
 */

/** Below this share of the median speed a node becomes a leaf. */
const leafBelow = 0.5;
/** With fewer known speeds there is no telling which is the odd one. */
const speedsMin = 3;
/** A leaf is given another chance after so many chunk times, then after twice as many, and so on: it may have been held up by others. */
const leafChunks = 128;

export interface JudgedNode {
  bytesPerS: number | undefined;
  /** The node may be faster than that. */
  atLeast: boolean;
  leaf: boolean;
  leafUntilMs: number;
  timesLeaf: number;
}

/** The median of the known speeds; undefined while there are too few. */
export function medianSpeed(nodes: readonly JudgedNode[]): number | undefined {
  const speeds = nodes.flatMap(({ bytesPerS }) => (bytesPerS === undefined ? [] : [bytesPerS]));
  if (speeds.length < speedsMin) return undefined;
  speeds.sort((a, b) => a - b);
  return speeds[speeds.length >>> 1];
}

/** Whether a node is to be a leaf from now on; keeps count of how often it was one. */
export function judgeLeaf(
  nowMs: number,
  node: JudgedNode,
  { median, chunkMs }: { median: number; chunkMs: number },
): boolean {
  if (node.leaf) {
    if (nowMs < node.leafUntilMs) return true;
    node.bytesPerS = undefined;
    return false;
  }
  if (node.bytesPerS === undefined || node.atLeast || node.bytesPerS >= leafBelow * median) return false;
  node.leafUntilMs = nowMs + chunkMs * leafChunks * 2 ** node.timesLeaf;
  node.timesLeaf += 1;
  return true;
}

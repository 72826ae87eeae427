/** One simulated fan-out read, and its figures (DESIGN.md section 12). */
import { DealtPolicy } from './dealt-policy.ts';
import { DirectoryPolicy } from './directory-policy.ts';
import { RingPolicy } from './ring-policy.ts';
import { type FanOutParameters, type FanOutPolicy, World } from './world.ts';

export const POLICIES = ['dealt', 'directory', 'ring'] as const;
export type PolicyName = (typeof POLICIES)[number];

export interface FanOutFigures {
  readonly floorMs: number;
  readonly makespanMs: number;
  readonly efficiency: number;
  /** Of the nodes that live, without the slow ones: arrival to end. */
  readonly p50NodeMs: number;
  readonly firstNodeMs: number;
  readonly lastNodeMs: number;
  readonly originBytesRatio: number;
  readonly messagesPerChunkAndNode: number;
  readonly samples: readonly (readonly [number, number])[];
}

/**
 * The least time in which all can have everything: `max(S/B_origin, S/B, N·S/(B_origin + N·B))`, with arrivals spread the last
 * one's arrival plus S/B at least. Slow nodes are not waited for.
 */
export function floorMs({ nodes, chunks, originLinks, chunkBytes, linkBytesPerS, spread }: FanOutParameters): number {
  const spanMs = (1000 * chunks * chunkBytes) / linkBytesPerS;
  return Math.max(spanMs / originLinks, spanMs * (1 + spread), (nodes * spanMs) / (originLinks + nodes));
}

const policies: Readonly<Record<PolicyName, (world: World) => FanOutPolicy>> = {
  dealt: (world) => new DealtPolicy(world),
  directory: (world) => new DirectoryPolicy(world),
  ring: (world) => new RingPolicy(world),
};

export function simulateFanOut(policy: PolicyName, parameters: FanOutParameters): FanOutFigures {
  const world = new World(parameters);
  world.run(policies[policy](world));
  const { nodes, chunks, chunkBytes } = parameters;
  const counted = Array.from({ length: nodes }, (_, node) => node).filter((node) => world.alive(node));
  const fast = counted.filter((node) => !world.slowNodes.has(node));
  const took = fast.map((node) => (world.finishedMs[node] as number) - (world.arrivedMs[node] as number));
  took.sort((a, b) => a - b);
  const makespanMs = Math.max(...fast.map((node) => world.finishedMs[node] as number));
  const least = floorMs(parameters);
  return {
    floorMs: least,
    makespanMs,
    efficiency: least / makespanMs,
    firstNodeMs: took[0] as number,
    p50NodeMs: took[took.length >>> 1] as number,
    lastNodeMs: took.at(-1) as number,
    originBytesRatio: world.originBytes / (chunks * chunkBytes),
    messagesPerChunkAndNode: world.messages / (nodes * chunks),
    samples: world.samples,
  };
}

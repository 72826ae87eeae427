/** What a simulated checkpoint is, and where. */

export interface FanOutWriteParameters {
  /** Sizes of the files of each rank, by node and rank. */
  readonly nodes: readonly (readonly (readonly number[])[])[];
  readonly linkBytesPerS: number;
  /** What the origin takes, and gives, of all nodes together. */
  readonly originBytesPerS: number;
  /** A node's disk, written and synced. */
  readonly diskBytesPerS: number;
  /** One way, of a message. */
  readonly latencyMs: number;
  /** Of a small request to the origin. */
  readonly originMs: number;
  /** Copies, the writer's counted. */
  readonly replicas: number;
  readonly zones: number;
}

export const nodeBytes = (ranks: readonly (readonly number[])[]): number =>
  ranks.flat().reduce((sum, bytes) => sum + bytes, 0);

export const totalBytes = ({ nodes }: FanOutWriteParameters): number =>
  nodes.reduce((sum, ranks) => sum + nodeBytes(ranks), 0);

/** Pieces that bytes are followed in: as fine as is bearable. Blocks, units and messages of the product are finer. */
const PIECES_MAX = 50_000;
const PIECE_MIN_BYTES = 16 * 2 ** 20;

export const pieceBytes = (parameters: FanOutWriteParameters): number =>
  Math.max(PIECE_MIN_BYTES, totalBytes(parameters) / PIECES_MAX);

export function piecesOf(sizeBytes: number, piece: number): number[] {
  const count = Math.max(1, Math.ceil(sizeBytes / piece));
  return Array.from({ length: count }, (_, i) => Math.min(piece, sizeBytes - i * piece));
}

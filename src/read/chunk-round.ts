/**
 * Chunks in a cluster of which some nodes cannot reach the origin (S-13): another member brings the chunk to itself, with the
 * leave of the chunk's owner as for its own readers, and is a holder like any other from then on.
 */
import { countOf, textOf } from '../cluster/chunk-wire.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { ForebayError } from '../core/errors.ts';
import { detourChunkMs } from '../core/limits.ts';
import type { Json, PeerMessage } from '../io/peers.ts';
import type { Detours } from './detours.ts';
import type { FillTarget } from './fill-target.ts';
import type { FillDetours, Fills } from './fills.ts';
import type { Opened } from './opened.ts';

export interface ChunkRoundParts {
  readonly detours: Detours;
  readonly fills: Fills;
  readonly open: (volume: string, key: string, signal: AbortSignal) => Promise<Opened>;
}

export class ChunkRound implements FillDetours {
  readonly #parts: ChunkRoundParts;

  constructor(cluster: Cluster, parts: ChunkRoundParts) {
    this.#parts = parts;
    cluster.handle('chunk.bring', (_from, message, signal) => this.#bring(message, signal));
  }

  isAway(volume: string): boolean {
    return this.#parts.detours.isAway(volume);
  }

  tried(volume: string, reached: boolean): void {
    this.#parts.detours.tried(volume, reached);
  }

  async chunk({ id, fact }: FillTarget, chunk: number, signal: AbortSignal): Promise<boolean> {
    const { volume, key } = fact;
    const message = { type: 'chunk.bring', volume, key, content: id, chunk };
    const answer = await this.#parts.detours.ask(
      volume,
      { kind: 'chunk', message },
      { deadlineMs: detourChunkMs, signal },
    );
    return answer !== undefined;
  }

  #bring(message: PeerMessage, signal: AbortSignal): Promise<Json> {
    const { detours, fills, open } = this.#parts;
    const volume = textOf(message['volume']);
    return detours.serve(volume, async () => {
      const opened = await open(volume, textOf(message['key']), signal);
      try {
        const { id, sizeBytes, chunkSizeBytes } = opened.target;
        const chunk = countOf(message['chunk']);
        if (id !== message['content']) throw new ForebayError('notHeld', 'another version of it is current here');
        if (chunk * chunkSizeBytes >= sizeBytes) throw new ForebayError('invalidRequest', `it has no chunk ${chunk}`);
        await fills.chunk(opened.target, chunk, { forPeer: true, signal });
        return true;
      } finally {
        opened.close();
      }
    });
  }
}

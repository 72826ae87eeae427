import { type ChunkRef, chunkName } from './chunk-ref.ts';
import type { Asker, DirectoryDecider, Grant, Located, Outcome } from './directory.ts';

/** Interim. */
export class Directory implements DirectoryDecider {
  readonly #chunks = new Map<
    string,
    { holders: Map<string, 'whole' | 'pulling' | 'filling'>; parents: Map<string, string> }
  >();
  members(): readonly Grant[] {
    return [];
  }
  locate(_nowMs: number, asker: Asker, refs: readonly ChunkRef[]): readonly Located[] {
    return refs.map((ref): Located => {
      const name = chunkName(ref);
      let chunk = this.#chunks.get(name);
      if (!chunk) this.#chunks.set(name, (chunk = { holders: new Map(), parents: new Map() }));
      chunk.holders.delete(asker.node);
      const others = [...chunk.holders.keys()];
      if (others.length === 0) {
        chunk.holders.set(asker.node, 'filling');
        return { kind: 'fill' };
      }
      const from = others[Math.floor(others.length / 2)] as string;
      chunk.holders.set(asker.node, 'pulling');
      return { kind: 'pull', from };
    });
  }
  report(_nowMs: number, node: string, outcomes: readonly Outcome[]): readonly Grant[] {
    for (const outcome of outcomes) {
      const chunk = this.#chunks.get(chunkName(outcome.ref));
      if (outcome.kind === 'done') chunk?.holders.set(node, 'whole');
      else {
        chunk?.holders.delete(node);
        if (outcome.source) chunk?.holders.delete(outcome.source);
      }
    }
    return [];
  }
  held(nowMs: number, node: string, refs: readonly ChunkRef[]): readonly Grant[] {
    for (const ref of refs) {
      const name = chunkName(ref);
      const chunk = this.#chunks.get(name) ?? { holders: new Map(), parents: new Map() };
      this.#chunks.set(name, chunk);
      chunk.holders.set(node, 'whole');
    }
    return [];
  }
  dropped(): readonly Grant[] {
    return [];
  }
  takeOver(): void {}
  handOver(): void {}
  tick(): readonly Grant[] {
    return [];
  }
  nextMs(): undefined {
    return undefined;
  }
  holders(ref: ChunkRef) {
    return Array.from(this.#chunks.get(chunkName(ref))?.holders ?? [], ([node, state]) => ({ node, state }));
  }
}

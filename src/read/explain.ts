/** Where an object would come from, and why: each source in the order in which it is tried. */
import type { ChunkRef } from '../cluster/chunk-ref.ts';
import { blockCount } from '../core/chunk.ts';
import { isForebayError } from '../core/errors.ts';
import { explainChunksMax } from '../core/limits.ts';
import type { ObjectFact } from '../core/object.ts';
import type { Clock } from '../io/io.ts';
import type { Store } from '../store/store.ts';
import type { CurrentVersions } from './current-versions.ts';
import type { FillTarget } from './fill-target.ts';
import type { FillPeers } from './fills.ts';
import type { Opened } from './opened.ts';
import type { ExplainStep, ObjectState } from './reader.ts';
import { isUndrained, type RecordedVersion } from './recorded.ts';
import type { Versions } from './versions.ts';
import type { VolumeSource } from './volume-source.ts';

export interface ExplainParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly versions: Versions;
  readonly current: CurrentVersions;
  readonly peers?: FillPeers | undefined;
}

export interface Explained {
  readonly source: VolumeSource;
  readonly key: string;
  readonly open: () => Promise<Opened>;
  readonly stateOf: (fact: ObjectFact) => ObjectState;
}

/** Opens the object on the way: rejects as an opening does. */
export async function explain(
  parts: ExplainParts,
  { source, key, open, stateOf }: Explained,
): Promise<{ steps: readonly ExplainStep[]; state: ObjectState | undefined }> {
  const { clock, store } = parts;
  const recorded = await recordStep(parts, source, key);
  const steps: ExplainStep[] = recorded === undefined ? [] : [recorded.step];
  const { step, isFresh } = factStep(parts, source, key);
  if (recorded?.isDirty !== true) steps.push(step);
  const begunMs = clock.boottimeMs();
  const opened = await open();
  try {
    const { fact, target } = opened;
    if (!isFresh && !isUndrained(fact)) {
      const result = opened.stale ? 'the origin is away: stale' : `version ${fact.etag}`;
      steps.push({ source: 'origin-head', result, bytes: 0, ms: clock.boottimeMs() - begunMs });
    }
    const state = stateOf(fact);
    const { sizeBytes } = fact;
    const inMemory = store.hot(fact.content) !== undefined;
    steps.push({ source: 'memory', result: inMemory ? 'whole' : 'absent', bytes: inMemory ? sizeBytes : 0, ms: 0 });
    const blocks = blockCount(sizeBytes);
    steps.push({ source: 'file', result: `${state.state} (${blocks} blocks)`, bytes: state.presentBytes, ms: 0 });
    steps.push(...(await peerSteps(parts, target)));
    const missing = sizeBytes - state.presentBytes;
    const result = missing === 0 ? 'not needed' : 'for what is absent';
    const last = isUndrained(fact) ? 'replica' : 'origin-get';
    steps.push({ source: last, result, bytes: missing, ms: 0 });
    return { steps, state };
  } finally {
    opened.close();
  }
}

async function recordStep(
  { current, clock }: ExplainParts,
  source: VolumeSource,
  key: string,
): Promise<{ step: ExplainStep; isDirty: boolean } | undefined> {
  if (!current.isRecorded(source)) return undefined;
  const begunMs = clock.boottimeMs();
  let result: string;
  let isDirty = false;
  try {
    const recorded = await current.asked((records) => records.read(source.volume.name, key));
    isDirty = recorded?.kind === 'dirty';
    result = said(recorded);
  } catch (error) {
    if (!isForebayError(error)) throw error;
    result = `not known: ${error.message}`;
  }
  return { step: { source: 'record', result, bytes: 0, ms: clock.boottimeMs() - begunMs }, isDirty };
}

function said(recorded: RecordedVersion | undefined): string {
  switch (recorded?.kind) {
    case 'dirty':
      return `not in the origin yet: ${recorded.replicas.join(', ')} ${recorded.replicas.length === 1 ? 'has' : 'have'} it`;
    case 'deleted':
      return 'deleted, and the origin does not know yet';
    case 'stub':
      return `in the origin as ${recorded.etag}`;
    default:
      return 'none: the origin has what there is';
  }
}

function factStep(
  { clock, store, versions }: ExplainParts,
  source: VolumeSource,
  key: string,
): { step: ExplainStep; isFresh: boolean } {
  const remembered = store.fact(source.volume.name, key);
  const isFresh = versions.fresh(source, key) !== undefined;
  const ageMs = remembered === undefined ? 0 : clock.boottimeMs() - remembered.checkedMs;
  const known =
    remembered === undefined
      ? 'nothing is remembered'
      : Number.isFinite(ageMs)
        ? `checked ${Math.round(ageMs)} ms ago`
        : 'checked before the machine started';
  const result = isFresh ? `${known}: fresh` : `${known}: the origin is asked`;
  return { step: { source: 'fact', result, bytes: 0, ms: 0 }, isFresh };
}

async function peerSteps({ peers, store, clock }: ExplainParts, target: FillTarget): Promise<ExplainStep[]> {
  if (peers === undefined) return [];
  const here = new Set(store.wholeChunksOf(target.id));
  const chunks = Math.ceil(target.sizeBytes / target.chunkSizeBytes);
  const refs: ChunkRef[] = [];
  for (let chunk = 0; chunk < chunks && refs.length < explainChunksMax; chunk += 1)
    if (!here.has(chunk)) refs.push({ content: target.id, chunk });
  if (refs.length === 0) return [];
  const begunMs = clock.boottimeMs();
  const counts = await peers.locator.holders(refs);
  const ms = clock.boottimeMs() - begunMs;
  const told = Array.from(counts, ([node, count]): ExplainStep => {
    const result = `${node} has or gets ${count} of ${refs.length} chunks that are absent here`;
    return { source: 'peer', result, bytes: Math.min(count * target.chunkSizeBytes, target.sizeBytes), ms };
  });
  return told.length > 0 ? told : [{ source: 'peer', result: 'no peer has what is absent here', bytes: 0, ms }];
}

/** What the admin door answers about writes on their way to the origins: progress, conflicts, leaving, recovering. */
import { z } from 'zod';
import { ForebayError } from '../../core/errors.ts';
import type { Conflict, Resolution } from '../../drain/conflicts.ts';
import type { VolumeProgress } from '../../drain/drain.ts';
import type { LeaveProgress } from '../../drain/leave.ts';
import type { RecoverReport } from '../../drain/recover.ts';
import { sendJson, sendLines } from './answer.ts';
import { type Call, demand, demandObjects, type NamedOperation } from './call.ts';
import { bodyOf, checked, KEY, queryOf, VOLUME } from './inputs.ts';

/** The drain, as the door needs it; `drain/drain.ts` is one. */
export interface DrainAdmin {
  readonly volumes: readonly string[];
  progress(volume: string, options?: { hurry?: boolean }): Promise<VolumeProgress>;
  conflicts(volume: string): Promise<readonly Conflict[]>;
  resolve(resolution: Resolution): Promise<void>;
  /** Ends the node, once nothing is only here. */
  leave(options: { wait: boolean; signal: AbortSignal }): AsyncIterable<LeaveProgress>;
  recover(volume: string, options: { force: boolean; signal: AbortSignal }): Promise<RecoverReport>;
}

const SOME = z.strictObject({ volume: VOLUME.optional() });
const LEAVE = z.strictObject({ wait: z.boolean().default(false) });
const RECOVER = z.strictObject({ volume: VOLUME, force: z.boolean().default(false) });
const RESOLVE = z.strictObject({ volume: VOLUME, key: KEY, keep: z.enum(['ours', 'theirs']) });

export function drainOperations(given: DrainAdmin | undefined): readonly (readonly [string, NamedOperation])[] {
  const operations = new DrainOperations(given);
  return [
    ['/v1/drain', { method: 'POST', name: 'drain', run: (call) => operations.drain(call) }],
    ['/v1/conflicts', { method: 'GET', name: 'conflicts', run: (call) => operations.conflicts(call) }],
    ['/v1/conflicts/resolve', { method: 'POST', name: 'resolve', run: (call) => operations.resolve(call) }],
    ['/v1/leave', { method: 'POST', name: 'leave', run: (call) => operations.leave(call) }],
    ['/v1/recover', { method: 'POST', name: 'recover', run: (call) => operations.recover(call) }],
  ];
}

class DrainOperations {
  readonly #given: DrainAdmin | undefined;

  constructor(given: DrainAdmin | undefined) {
    this.#given = given;
  }

  /** Hurries what waits, and tells how far it is; asked again and again by those who wait. */
  async drain(call: Call): Promise<number> {
    const { volume } = checked(SOME, await bodyOf(call.request));
    const volumes = this.#named(volume);
    for (const each of volumes) demandObjects(call, each, 'write');
    const found = await Promise.all(volumes.map((each) => this.#drain.progress(each, { hurry: true })));
    return sendJson(call.response, 200, { volumes: found });
  }

  async conflicts(call: Call): Promise<number> {
    const { volume } = checked(SOME, queryOf(call.url));
    const volumes = this.#named(volume);
    for (const each of volumes) demandObjects(call, each, 'read');
    const found = await Promise.all(volumes.map((each) => this.#drain.conflicts(each)));
    return sendJson(call.response, 200, { conflicts: found.flat() });
  }

  async resolve(call: Call): Promise<number> {
    const given = checked(RESOLVE, await bodyOf(call.request));
    demandObjects(call, given.volume, 'write');
    await this.#drain.resolve(given);
    return sendJson(call.response, 200, { resolved: true });
  }

  async leave({ request, response, key, signal }: Call): Promise<number> {
    const { wait } = checked(LEAVE, await bodyOf(request));
    demand(key, '*', 'admin');
    return sendLines(response, this.#drain.leave({ wait, signal }), signal);
  }

  async recover(call: Call): Promise<number> {
    const { volume, force } = checked(RECOVER, await bodyOf(call.request));
    demandObjects(call, volume, 'admin');
    return sendJson(call.response, 200, await this.#drain.recover(volume, { force, signal: call.signal }));
  }

  get #drain(): DrainAdmin {
    if (this.#given === undefined)
      throw new ForebayError(
        'invalidArgument',
        'nothing is held by this node before the origin has it: no volume has ack = "local" or "replicated", or replicas',
      );
    return this.#given;
  }

  #named(volume: string | undefined): readonly string[] {
    return volume === undefined ? this.#drain.volumes : [volume];
  }
}

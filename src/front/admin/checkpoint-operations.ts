/** What the admin door answers about checkpoints: many objects committed as one (S-6). */
import { z } from 'zod';
import { ForebayError } from '../../core/errors.ts';
import { checkpointBodyMaxBytes, checkpointObjectsMax, putMaxBytes } from '../../core/limits.ts';
import type { Checkpoints } from '../../write/checkpoints.ts';
import type { Writer } from '../../write/writer.ts';
import { sendJson } from './answer.ts';
import { type Call, demandObjects, type NamedOperation } from './call.ts';
import { bodyOf, checked, KEY, queryOf, VOLUME } from './inputs.ts';
import { sentBody } from './sent-body.ts';

export interface CheckpointParts {
  readonly checkpoints: Checkpoints;
  readonly writer: Pick<Writer, 'put'>;
}

const name = z.string().min(1).max(1024);
const attempt = z.string().min(1).max(64);
const WHERE = z.strictObject({ volume: VOLUME });
const NAMED = z.strictObject({ volume: VOLUME, name });
const ATTEMPT = z.strictObject({ volume: VOLUME, name, attempt });
const COMMIT = z.strictObject({
  volume: VOLUME,
  name,
  attempt,
  keys: z.array(KEY).max(checkpointObjectsMax).optional(),
  count: z.number().int().min(1).max(checkpointObjectsMax).optional(),
});
const KEEP = z.strictObject({ volume: VOLUME, count: z.number().int().min(1) });
const PUT_OBJECT = z.strictObject({ volume: VOLUME, name, attempt, key: KEY });

export function checkpointOperations(
  given: CheckpointParts | undefined,
): readonly (readonly [string, NamedOperation])[] {
  const of = new CheckpointOperations(given);
  const post = (what: string, run: NamedOperation['run']) =>
    [`/v1/checkpoints/${what}`, { method: 'POST', name: `checkpoints.${what}`, run }] as const;
  return [
    ['/v1/checkpoints', { method: 'GET', name: 'checkpoints', run: (call) => of.list(call) }],
    ['/v1/checkpoints/latest', { method: 'GET', name: 'checkpoints.latest', run: (call) => of.latest(call) }],
    ['/v1/checkpoints/objects', { method: 'PUT', name: 'checkpoints.put', run: (call) => of.put(call) }],
    post('begin', (call) => of.begin(call)),
    post('commit', (call) => of.commit(call)),
    post('abort', (call) => of.abort(call)),
    post('rollback', (call) => of.rollback(call)),
    post('keep', (call) => of.keep(call)),
  ];
}

class CheckpointOperations {
  readonly #given: CheckpointParts | undefined;

  constructor(given: CheckpointParts | undefined) {
    this.#given = given;
  }

  async list(call: Call): Promise<number> {
    const { url, response } = call;
    const { volume } = checked(WHERE, queryOf(url));
    demandObjects(call, volume, 'read');
    return sendJson(response, 200, { checkpoints: await this.#parts.checkpoints.list(volume) });
  }

  async latest(call: Call): Promise<number> {
    const { url, response } = call;
    const { volume } = checked(WHERE, queryOf(url));
    demandObjects(call, volume, 'read');
    const found = await this.#parts.checkpoints.latest(volume);
    if (found === undefined) throw new ForebayError('noSuchCheckpoint', `no checkpoint of ${volume} is committed`);
    return sendJson(response, 200, found);
  }

  /** The object's bytes are the request's body. */
  async put(call: Call): Promise<number> {
    const { request, response, url, signal } = call;
    const given = checked(PUT_OBJECT, queryOf(url));
    demandObjects(call, given.volume, 'write');
    const body = sentBody(request, putMaxBytes);
    const checkpoint = { checkpoint: given.name, attempt: given.attempt };
    const target = { volume: given.volume, key: given.key };
    const written = await this.#parts.writer.put(target, body, { headers: {}, metadata: {}, checkpoint, signal });
    const { doorEtag: etag, level } = written;
    return sendJson(response, 200, { key: given.key, sizeBytes: body.lengthBytes, etag, level });
  }

  async begin(call: Call): Promise<number> {
    const { request, response } = call;
    const given = checked(NAMED, await bodyOf(request));
    demandObjects(call, given.volume, 'write');
    return sendJson(response, 200, await this.#parts.checkpoints.begin(given.volume, given.name));
  }

  async commit(call: Call): Promise<number> {
    const { request, response } = call;
    const { volume, keys, count, ...given } = checked(COMMIT, await bodyOf(request, checkpointBodyMaxBytes));
    demandObjects(call, volume, 'write');
    const expect = { ...(keys && { keys }), ...(count !== undefined && { count }) };
    const of = { checkpoint: given.name, attempt: given.attempt };
    return sendJson(response, 200, await this.#parts.checkpoints.commit(volume, of, expect));
  }

  async abort(call: Call): Promise<number> {
    const { request, response } = call;
    const given = checked(ATTEMPT, await bodyOf(request));
    demandObjects(call, given.volume, 'write');
    await this.#parts.checkpoints.abort(given.volume, { checkpoint: given.name, attempt: given.attempt });
    return sendJson(response, 200, {});
  }

  async rollback(call: Call): Promise<number> {
    const { request, response } = call;
    const given = checked(NAMED, await bodyOf(request));
    demandObjects(call, given.volume, 'write');
    return sendJson(response, 200, await this.#parts.checkpoints.rollback(given.volume, given.name));
  }

  async keep(call: Call): Promise<number> {
    const { request, response } = call;
    const { volume, count } = checked(KEEP, await bodyOf(request));
    demandObjects(call, volume, 'write');
    return sendJson(response, 200, { removed: await this.#parts.checkpoints.keep(volume, count) });
  }

  get #parts(): CheckpointParts {
    if (this.#given === undefined)
      throw new ForebayError('invalidArgument', 'no volume of this node holds writes before the origin has them');
    return this.#given;
  }
}

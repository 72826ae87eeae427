/** `/v1/checkpoints`: many objects committed as one (S-6). */
import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import { ForebayError } from '../../core/errors.ts';
import { checkpointObjectsMax, keyMaxBytes, putMaxBytes } from '../../core/limits.ts';
import { VOLUME_NAME } from '../../core/volume.ts';
import type { CheckpointInfo, Checkpoints } from '../../write/checkpoints.ts';
import type { WriteBody, Writer } from '../../write/writer.ts';

const volume = z.string().regex(VOLUME_NAME, 'not a volume name');
const name = z.string().min(1).max(1024);
const attempt = z.string().min(1).max(64);
const key = z
  .string()
  .min(1)
  .refine(
    (text) => text.isWellFormed() && Buffer.byteLength(text) <= keyMaxBytes,
    `a key is well-formed text of at most ${keyMaxBytes} bytes`,
  );

export const CHECKPOINTS = z.strictObject({ volume });
export const BEGIN = z.strictObject({ volume, name });
export const ROLLBACK = BEGIN;
export const ABORT = z.strictObject({ volume, name, attempt });
export const COMMIT = z.strictObject({
  volume,
  name,
  attempt,
  keys: z.array(key).max(checkpointObjectsMax).optional(),
  count: z.number().int().min(1).max(checkpointObjectsMax).optional(),
});
export const KEEP = z.strictObject({ volume, count: z.number().int().min(1) });
export const PUT_OBJECT = z.strictObject({ volume, name, attempt, key });

export interface CheckpointParts {
  readonly checkpoints: Checkpoints;
  readonly writer: Pick<Writer, 'put'>;
}

export async function listed({ checkpoints }: CheckpointParts, of: string) {
  const all = await checkpoints.list(of);
  return { checkpoints: all };
}

export async function latest({ checkpoints }: CheckpointParts, of: string): Promise<CheckpointInfo> {
  const found = await checkpoints.latest(of);
  if (found === undefined) throw new ForebayError('noSuchCheckpoint', `no checkpoint of ${of} is committed`);
  return found;
}

export async function commit({ checkpoints }: CheckpointParts, given: z.output<typeof COMMIT>) {
  const { keys, count } = given;
  const expect = { ...(keys && { keys }), ...(count !== undefined && { count }) };
  return checkpoints.commit(given.volume, { checkpoint: given.name, attempt: given.attempt }, expect);
}

/** The object's bytes are the request's body, of a declared length. */
export async function putObject(
  { writer }: CheckpointParts,
  request: IncomingMessage,
  { given, signal }: { given: z.output<typeof PUT_OBJECT>; signal: AbortSignal },
) {
  const length = request.headers['content-length'];
  if (length === undefined || !/^\d{1,15}$/.test(length))
    throw new ForebayError('missingLength', 'the object comes with Content-Length');
  const lengthBytes = Number(length);
  if (lengthBytes > putMaxBytes)
    throw new ForebayError('tooLarge', `an object in one request has at most ${putMaxBytes} bytes`);
  const body: WriteBody = {
    lengthBytes,
    async *stream() {
      let sent = 0;
      for await (const piece of request as AsyncIterable<Buffer>) {
        sent += piece.length;
        yield piece;
      }
      if (sent < lengthBytes) throw new ForebayError('incompleteBody', `${sent} of ${lengthBytes} bytes came`);
    },
  };
  const checkpoint = { checkpoint: given.name, attempt: given.attempt };
  const target = { volume: given.volume, key: given.key };
  const written = await writer.put(target, body, { headers: {}, metadata: {}, checkpoint, signal });
  return { key: given.key, sizeBytes: lengthBytes, etag: written.doorEtag, level: written.level };
}

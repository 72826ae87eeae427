/**
 * The S3 door (DESIGN.md section 10): parses, authenticates, checks rights, then asks the read and write paths.
 *
 * Rights and `write = true` are checked before a body is read or `100 Continue` is said. A key without the right to a
 * volume learns nothing of it, not even that it exists.
 */
import type { Server } from 'node:net';
import { AssertionError } from '../../core/assert.ts';
import { ForebayError } from '../../core/errors.ts';
import { mayAccess } from '../credentials.ts';
import { ClientGone } from '../http/client-gone.ts';
import type { Exchange } from '../http/exchange.ts';
import { createHttpDoor } from '../http/http.ts';
import { hasQuery, queryValue } from '../http/query.ts';
import type { Address } from './address.ts';
import { parseAddress } from './address.ts';
import * as batch from './batch-delete.ts';
import * as buckets from './buckets.ts';
import * as listing from './listing.ts';
import * as multipart from './multipart.ts';
import * as uploads from './multipart-listing.ts';
import * as documents from './object-documents.ts';
import * as writes from './object-writes.ts';
import { getObject } from './objects.ts';
import type { Operation } from './routes.ts';
import { OPERATIONS, operationOf } from './routes.ts';
import { answerError, asForebayError, refusalOf } from './s3-error.ts';
import type { S3Parts, S3Request } from './s3-request.ts';
import { SigningKeys } from './signing-key.ts';
import { authenticate } from './sigv4.ts';

export interface S3Door {
  /** Not yet listening. */
  readonly server: Server;
  close(): Promise<void>;
}

const HANDLERS: Readonly<Record<Operation, (request: S3Request) => void | Promise<void>>> = {
  ListBuckets: buckets.listBuckets,
  HeadBucket: buckets.headBucket,
  CreateBucket: buckets.createBucket,
  GetBucketLocation: buckets.getBucketLocation,
  GetBucketVersioning: buckets.getBucketVersioning,
  GetBucketAcl: buckets.getAcl,
  GetBucketRequestPayment: buckets.getBucketRequestPayment,
  GetBucketLogging: buckets.getBucketLogging,
  GetBucketNotificationConfiguration: buckets.getBucketNotification,
  GetBucketAccelerateConfiguration: buckets.getBucketAccelerate,
  GetBucketConfiguration: buckets.getBucketConfiguration,
  ListObjects: listing.listObjects,
  ListObjectsV2: listing.listObjectsV2,
  ListMultipartUploads: uploads.listMultipartUploads,
  DeleteObjects: batch.deleteObjects,
  GetObject: getObject,
  HeadObject: getObject,
  GetObjectAcl: documents.getObjectAcl,
  GetObjectTagging: documents.getObjectTagging,
  GetObjectAttributes: documents.getObjectAttributes,
  PutObject: writes.putObject,
  CopyObject: writes.copyObject,
  DeleteObject: writes.deleteObject,
  CreateMultipartUpload: multipart.createMultipartUpload,
  UploadPart: multipart.uploadPart,
  UploadPartCopy: multipart.uploadPartCopy,
  CompleteMultipartUpload: multipart.completeMultipartUpload,
  AbortMultipartUpload: multipart.abortMultipartUpload,
  ListParts: uploads.listParts,
};

export function createS3Door(parts: S3Parts): S3Door {
  const { clock, emit } = parts;
  const keys = new SigningKeys(parts.credentials);
  const runId = Buffer.from(parts.random.bytes(5)).toString('hex');
  let count = 0x1000_0000;
  const nextId = () => runId + (++count).toString(16);

  /** Runs the operation; the answer may be complete when this returns. */
  const serve = (exchange: Exchange, id: string, address: Address, name: (operation: Operation) => void) => {
    const { path, query, bucket, key } = address;
    const signed = {
      method: exchange.method,
      path,
      query,
      headers: exchange.headers,
      header: (n: string) => exchange.header(n),
    };
    const auth = authenticate(signed, { credentials: parts.credentials, keys, nowMs: clock.wallMs() });
    const copies = exchange.method === 'PUT' && exchange.header('x-amz-copy-source') !== undefined;
    const operation = operationOf({ method: exchange.method, bucket, key, query, copies });
    name(operation);
    const request: S3Request = { parts, exchange, id, auth, query, bucket, key };
    checkRights(request, operation);
    return HANDLERS[operation](request);
  };

  const handler = (exchange: Exchange) => {
    const begunMs = clock.boottimeMs();
    const id = nextId();
    let operation: Operation | 'unknown' = 'unknown';
    exchange.onDone = () => {
      const { status, sentBytes: bytes } = exchange;
      emit({ kind: 'door.request', door: 's3', operation, status, bytes, ms: clock.boottimeMs() - begunMs });
    };
    try {
      const address = parseAddress(exchange.target, exchange.header('host') ?? '', parts.domain);
      const work = serve(exchange, id, address, (name) => {
        operation = name;
      });
      if (work !== undefined) work.catch((error: unknown) => fail(exchange, error, id));
    } catch (error) {
      fail(exchange, error, id);
    }
  };

  const fail = (exchange: Exchange, error: unknown, id: string) => {
    if (error instanceof AssertionError) {
      exchange.abort();
      process.nextTick(() => {
        throw error;
      });
      return;
    }
    if (exchange.begun || error instanceof ClientGone || exchange.signal.aborted) {
      const isClients = error instanceof ClientGone || exchange.signal.aborted;
      if (!isClients) emit({ kind: 'door.broken', door: 's3', message: (error as Error).message });
      exchange.abort();
      return;
    }
    const known = asForebayError(error);
    if (known.row.status === 403) emit({ kind: 'door.refused', door: 's3', reason: known.code });
    const mark = exchange.target.indexOf('?');
    answerError(exchange, known, { id, resource: mark < 0 ? exchange.target : exchange.target.slice(0, mark) });
  };

  return createHttpDoor({
    handler,
    clock,
    onRefused: (reason) => emit({ kind: 'door.refused', door: 's3', reason }),
    refusal: (reason) => refusalOf(reason, nextId()),
  });
}

/** Throws accessDenied, noSuchBucket, notImplemented for versions. */
function checkRights({ auth, bucket, parts, query }: S3Request, operation: Operation): void {
  const right = OPERATIONS[operation];
  if (right === 'none') return;
  if (!mayAccess(auth.key, bucket, right))
    throw new ForebayError('accessDenied', `the key ${auth.key.id} may not ${right} the volume ${bucket}`);
  const volume = parts.volumes.get(bucket)?.volume;
  if (volume === undefined) {
    if (operation === 'CreateBucket')
      throw new ForebayError('notImplemented', 'CreateBucket is not served: volumes are made in the configuration');
    throw new ForebayError('noSuchBucket', `there is no volume ${bucket}`);
  }
  if (right === 'write' && !volume.write && operation !== 'CreateBucket')
    throw new ForebayError('accessDenied', `the volume ${bucket} is read-only`);
  if (query.pairs.length > 0 && hasQuery(query, 'versionId') && queryValue(query, 'versionId') !== 'null')
    throw new ForebayError('notImplemented', 'versions of objects are not served');
}

/** Which operation of S3 a request is, by its method, the level that it names, and the subresource in its query. */
import { ForebayError } from '../../core/errors.ts';
import type { Query } from '../http/query.ts';
import { hasQuery } from '../http/query.ts';

/** Operation → the right that it needs. */
export const OPERATIONS = {
  ListBuckets: 'none',
  HeadBucket: 'read',
  CreateBucket: 'write',
  GetBucketLocation: 'read',
  GetBucketVersioning: 'read',
  GetBucketAcl: 'read',
  GetBucketRequestPayment: 'read',
  GetBucketLogging: 'read',
  GetBucketNotificationConfiguration: 'read',
  GetBucketAccelerateConfiguration: 'read',
  GetBucketConfiguration: 'read',
  ListObjects: 'read',
  ListObjectsV2: 'read',
  ListMultipartUploads: 'read',
  DeleteObjects: 'write',
  GetObject: 'read',
  HeadObject: 'read',
  GetObjectAcl: 'read',
  GetObjectTagging: 'read',
  GetObjectAttributes: 'read',
  PutObject: 'write',
  CopyObject: 'write',
  DeleteObject: 'write',
  CreateMultipartUpload: 'write',
  UploadPart: 'write',
  UploadPartCopy: 'write',
  CompleteMultipartUpload: 'write',
  AbortMultipartUpload: 'write',
  ListParts: 'read',
} as const satisfies Record<string, 'none' | 'read' | 'write'>;

export type Operation = keyof typeof OPERATIONS;

/** Bucket subresources that GET answers with a settled document. */
const BUCKET_DOCUMENTS: Readonly<Record<string, Operation>> = {
  location: 'GetBucketLocation',
  versioning: 'GetBucketVersioning',
  acl: 'GetBucketAcl',
  requestPayment: 'GetBucketRequestPayment',
  logging: 'GetBucketLogging',
  notification: 'GetBucketNotificationConfiguration',
  accelerate: 'GetBucketAccelerateConfiguration',
};

/** Bucket configurations that no volume has: subresource → the code with which S3 says so. */
export const ABSENT_CONFIGURATIONS: Readonly<Record<string, string>> = {
  policy: 'NoSuchBucketPolicy',
  policyStatus: 'NoSuchBucketPolicy',
  tagging: 'NoSuchTagSet',
  cors: 'NoSuchCORSConfiguration',
  lifecycle: 'NoSuchLifecycleConfiguration',
  encryption: 'ServerSideEncryptionConfigurationNotFoundError',
  website: 'NoSuchWebsiteConfiguration',
  replication: 'ReplicationConfigurationNotFoundError',
  'object-lock': 'ObjectLockConfigurationNotFoundError',
  publicAccessBlock: 'NoSuchPublicAccessBlockConfiguration',
  ownershipControls: 'OwnershipControlsNotFoundError',
};

/** Subresource → the noun in the names of its operations. */
const OTHER_BUCKET_NOUNS: Readonly<Record<string, string>> = {
  versions: 'ObjectVersions',
  analytics: 'BucketAnalyticsConfiguration',
  inventory: 'BucketInventoryConfiguration',
  metrics: 'BucketMetricsConfiguration',
  'intelligent-tiering': 'BucketIntelligentTieringConfiguration',
  metadataTable: 'BucketMetadataTableConfiguration',
  metadataConfiguration: 'BucketMetadataConfiguration',
  session: 'Session',
};
const OBJECT_NOUNS: Readonly<Record<string, string>> = {
  acl: 'ObjectAcl',
  tagging: 'ObjectTagging',
  'legal-hold': 'ObjectLegalHold',
  retention: 'ObjectRetention',
  torrent: 'ObjectTorrent',
  restore: 'RestoreObject',
  select: 'SelectObjectContent',
  attributes: 'ObjectAttributes',
  renameObject: 'RenameObject',
  encryption: 'ObjectEncryption',
};
const VERBS: Readonly<Record<string, string>> = {
  GET: 'Get',
  HEAD: 'Head',
  PUT: 'Put',
  POST: 'Post',
  DELETE: 'Delete',
};

export interface Routed {
  readonly method: string;
  readonly bucket: string;
  readonly key: string;
  readonly query: Query;
  /** The request carries x-amz-copy-source. */
  readonly copies: boolean;
}

/** Throws notImplemented with the operation's name, methodNotAllowed. */
export function operationOf(request: Routed): Operation {
  if (!Object.hasOwn(VERBS, request.method)) throw notAllowed(request.method);
  if (request.bucket === '') {
    if (request.method === 'GET' && request.key === '') return 'ListBuckets';
    throw notAllowed(request.method);
  }
  return request.key === '' ? bucketOperation(request) : objectOperation(request);
}

function notAllowed(method: string): ForebayError {
  return new ForebayError('methodNotAllowed', `the method ${method} is not served here`);
}

function unsupported(name: string): ForebayError {
  return new ForebayError('notImplemented', `${name} is not served`);
}

function present(query: Query, names: Readonly<Record<string, string>>): string | undefined {
  for (let index = 0; index < query.pairs.length; index += 2) {
    const name = query.pairs[index] as string;
    if (Object.hasOwn(names, name)) return name;
  }
  return undefined;
}

function bucketOperation({ method, query }: Routed): Operation {
  const document = present(query, BUCKET_DOCUMENTS);
  const configuration = present(query, ABSENT_CONFIGURATIONS);
  const other = present(query, OTHER_BUCKET_NOUNS);
  if (other !== undefined)
    throw unsupported(`${other === 'versions' ? 'List' : VERBS[method]}${OTHER_BUCKET_NOUNS[other]}`);
  if (document !== undefined) {
    if (method === 'GET') return BUCKET_DOCUMENTS[document] as Operation;
    throw unsupported((BUCKET_DOCUMENTS[document] as string).replace('Get', VERBS[method] as string));
  }
  if (configuration !== undefined) {
    if (method === 'GET') return 'GetBucketConfiguration';
    throw unsupported(`${VERBS[method]}Bucket${configuration.charAt(0).toUpperCase()}${configuration.slice(1)}`);
  }
  switch (method) {
    case 'GET':
      if (hasQuery(query, 'uploads')) return 'ListMultipartUploads';
      return hasQuery(query, 'list-type') ? 'ListObjectsV2' : 'ListObjects';
    case 'HEAD':
      return 'HeadBucket';
    case 'PUT':
      return 'CreateBucket';
    case 'POST':
      if (hasQuery(query, 'delete')) return 'DeleteObjects';
      throw unsupported('PostObject');
    default:
      throw unsupported('DeleteBucket');
  }
}

function objectOperation({ method, query, copies }: Routed): Operation {
  if (query.pairs.length > 0) {
    const noun = present(query, OBJECT_NOUNS);
    if (noun !== undefined) {
      if (method === 'GET' && noun === 'acl') return 'GetObjectAcl';
      if (method === 'GET' && noun === 'tagging') return 'GetObjectTagging';
      if (method === 'GET' && noun === 'attributes') return 'GetObjectAttributes';
      const name = OBJECT_NOUNS[noun] as string;
      throw unsupported(name.startsWith('Object') ? `${VERBS[method]}${name}` : name);
    }
  }
  const hasUpload = query.pairs.length > 0 && hasQuery(query, 'uploadId');
  switch (method) {
    case 'GET':
      return hasUpload ? 'ListParts' : 'GetObject';
    case 'HEAD':
      return 'HeadObject';
    case 'PUT':
      if (hasUpload || hasQuery(query, 'partNumber')) return copies ? 'UploadPartCopy' : 'UploadPart';
      return copies ? 'CopyObject' : 'PutObject';
    case 'POST':
      if (hasQuery(query, 'uploads')) return 'CreateMultipartUpload';
      if (hasUpload) return 'CompleteMultipartUpload';
      throw notAllowed(method);
    default:
      return hasUpload ? 'AbortMultipartUpload' : 'DeleteObject';
  }
}

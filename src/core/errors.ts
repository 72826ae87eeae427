/**
 * The one table of errors that leave a module (STYLE.md rule 5). A caller's mistake is answered, an operating error is
 * handled or passed on typed, a bug is an assertion. A miss is a value, never an error.
 *
 * Each row: whether a retry of the same request can help, S3 code and HTTP status, RESP prefix, errno for files, and a
 * sentence that says what to do next.
 */
export interface ErrorRow {
  readonly retry: boolean;
  readonly s3: string;
  readonly status: number;
  readonly resp: string;
  readonly errno: string;
  readonly hint: string;
}

const row = (s3: string, status: number, errno: string, retry: boolean, hint: string, resp = 'ERR'): ErrorRow => ({
  retry,
  s3,
  status,
  resp,
  errno,
  hint,
});

export const ERRORS = {
  // the caller's mistakes
  invalidRequest: row('InvalidRequest', 400, 'EINVAL', false, 'Correct the request.'),
  invalidArgument: row('InvalidArgument', 400, 'EINVAL', false, 'Correct the argument that the message names.'),
  invalidUri: row('InvalidURI', 400, 'EINVAL', false, 'Percent-encode the key as UTF-8.'),
  keyTooLong: row('KeyTooLongError', 400, 'ENAMETOOLONG', false, 'Keys have at most 1,024 bytes of UTF-8.'),
  invalidDigest: row('InvalidDigest', 400, 'EINVAL', false, 'Send the checksum as base64 of the right length.'),
  badDigest: row(
    'BadDigest',
    400,
    'EIO',
    true,
    'The bytes that arrived do not have the checksum sent; send them again.',
  ),
  contentMismatch: row(
    'XAmzContentSHA256Mismatch',
    400,
    'EIO',
    true,
    'The body does not have the signed SHA-256; send it again.',
  ),
  incompleteBody: row('IncompleteBody', 400, 'EIO', true, 'The body ended before its declared length; send it again.'),
  malformedChunk: row('InvalidRequest', 400, 'EINVAL', false, 'Send an aws-chunked body as its headers announce it.'),
  malformedTrailer: row('MalformedTrailerError', 400, 'EINVAL', false, 'Send each trailer that x-amz-trailer names.'),
  metadataTooLarge: row('MetadataTooLarge', 400, 'E2BIG', false, 'Metadata has at most 2 KiB of names and values.'),
  bucketExists: row('BucketAlreadyOwnedByYou', 409, 'EEXIST', false, 'The volume is there already: use it.'),
  missingLength: row(
    'MissingContentLength',
    411,
    'EINVAL',
    false,
    'Send Content-Length, or x-amz-decoded-content-length.',
  ),
  tooLarge: row('EntityTooLarge', 400, 'EFBIG', false, 'Use a multipart upload.'),
  tooSmall: row('EntityTooSmall', 400, 'EINVAL', false, 'All parts but the last have at least 5 MiB.'),
  malformedXml: row('MalformedXML', 400, 'EINVAL', false, 'Correct the XML of the request.'),
  invalidPart: row('InvalidPart', 400, 'EINVAL', false, 'List the parts (ListParts) and name those with their ETags.'),
  invalidPartOrder: row('InvalidPartOrder', 400, 'EINVAL', false, 'List the parts in ascending order.'),
  noSuchUpload: row('NoSuchUpload', 404, 'ENOENT', false, 'The upload was completed, aborted or never begun.'),
  noSuchBucket: row(
    'NoSuchBucket',
    404,
    'ENOENT',
    false,
    'Name a volume that the configuration has; `forebay status` lists them.',
  ),
  noSuchKey: row('NoSuchKey', 404, 'ENOENT', false, 'Nothing of this key is there.'),
  invalidRange: row('InvalidRange', 416, 'EINVAL', false, 'Ask for bytes that lie in the object.'),
  preconditionFailed: row(
    'PreconditionFailed',
    412,
    'ESTALE',
    false,
    'The object is not the version that the condition names.',
  ),
  notModified: row('NotModified', 304, 'EEXIST', false, 'Use the copy that you have.'),
  conflict: row(
    'ConditionalRequestConflict',
    409,
    'EBUSY',
    true,
    'Another write to the key was under way; read it, then try again.',
  ),
  methodNotAllowed: row('MethodNotAllowed', 405, 'ENOTSUP', false, 'This method is not allowed on this resource.'),
  notImplemented: row('NotImplemented', 501, 'ENOTSUP', false, 'Forebay does not serve this operation.'),
  headersTooLarge: row('RequestHeaderSectionTooLarge', 400, 'E2BIG', false, 'Send smaller headers.'),
  // who may do what
  accessDenied: row(
    'AccessDenied',
    403,
    'EACCES',
    false,
    'Give the key the right to the volume, or write = true to the volume.',
    'NOPERM',
  ),
  invalidAccessKey: row(
    'InvalidAccessKeyId',
    403,
    'EACCES',
    false,
    'Use a key of this node: `forebay env` prints one.',
    'WRONGPASS',
  ),
  signatureMismatch: row(
    'SignatureDoesNotMatch',
    403,
    'EACCES',
    false,
    'Check the secret, and that nothing on the way changes the request.',
    'WRONGPASS',
  ),
  requestTimeSkewed: row(
    'RequestTimeTooSkewed',
    403,
    'EACCES',
    false,
    'Set the clock: it differs from this node by more than 15 minutes.',
  ),
  requestExpired: row('AccessDenied', 403, 'EACCES', false, 'The presigned URL has expired; make a new one.'),
  unauthenticated: row(
    'AccessDenied',
    401,
    'EACCES',
    false,
    'Send "Authorization: Bearer ID:SECRET" with a key of this node: the credentials file has one.',
    'NOAUTH',
  ),
  hostRefused: row(
    'AccessDenied',
    403,
    'EACCES',
    false,
    'Reach the node by an IP address, as localhost, by its own name, or by a name listed in doors.hosts.',
  ),
  noSuchPath: row('NoSuchKey', 404, 'ENOENT', false, 'See docs/OPERATIONS.md for the paths of the admin door.'),
  // the origin
  originDenied: row(
    'AccessDenied',
    403,
    'EACCES',
    false,
    'The origin refused the credentials of this node; see `forebay doctor`.',
  ),
  originThrottled: row('SlowDown', 503, 'EAGAIN', true, 'The origin is limiting requests; try again later.'),
  originUnavailable: row(
    'ServiceUnavailable',
    503,
    'EIO',
    true,
    'The origin cannot be reached or fails; try again later.',
  ),
  originTruncated: row(
    'InternalError',
    500,
    'EIO',
    true,
    'The origin returned fewer bytes than it promised; try again.',
  ),
  versionChanged: row(
    'InternalError',
    500,
    'ESTALE',
    true,
    'The object was replaced at the origin during the read; read it again.',
  ),
  // the cluster
  peerUnreachable: row(
    'ServiceUnavailable',
    503,
    'EHOSTUNREACH',
    true,
    'A node cannot be reached; see `forebay status`.',
  ),
  peerTimeout: row('ServiceUnavailable', 503, 'ETIMEDOUT', true, 'A node does not answer; see `forebay status`.'),
  peerRefused: row(
    'InternalError',
    500,
    'EACCES',
    false,
    'A node refuses this one: give all nodes of the cluster the same name and secret (cluster.name, cluster.secretFile).',
  ),
  peerCorrupt: row('InternalError', 500, 'EIO', true, 'A node sent wrong bytes; another source is tried.'),
  notHeld: row(
    'InternalError',
    500,
    'ENODATA',
    true,
    'The node asked no longer has the bytes; another source is tried.',
  ),
  coordinatorUnavailable: row(
    'ServiceUnavailable',
    503,
    'EHOSTUNREACH',
    true,
    'The coordinator cannot be reached; reads go on without it, see `forebay status`.',
  ),
  coordinatorRefused: row(
    'InternalError',
    500,
    'EACCES',
    false,
    'The coordinator refuses this node, or cannot be trusted: the message says why.',
  ),
  coordinatorUncertain: row(
    'ServiceUnavailable',
    503,
    'EAGAIN',
    true,
    'The answer of the coordinator was lost: read what is there before trying again.',
  ),
  recordChanged: row(
    'ConditionalRequestConflict',
    409,
    'EBUSY',
    true,
    'Another write to the key came first; read it, then try again.',
  ),
  degraded: row(
    'ServiceUnavailable',
    503,
    'EAGAIN',
    true,
    'Too few nodes hold what is written; start more nodes, set onDegraded, or ask for another level (x-forebay-ack).',
  ),
  noSuchCheckpoint: row(
    'NoSuchKey',
    404,
    'ENOENT',
    false,
    'Name a checkpoint of the volume; `forebay checkpoint list` shows them.',
  ),
  attemptEnded: row(
    'ConditionalRequestConflict',
    409,
    'ESTALE',
    false,
    'This attempt is over: begin the checkpoint anew, or leave it to whoever did.',
  ),
  checkpointIncomplete: row(
    'ConditionalRequestConflict',
    409,
    'ENODATA',
    false,
    'Put what the message names, then commit again; nothing of the checkpoint is visible until then.',
  ),
  recordUnreadable: row(
    'InternalError',
    500,
    'EPROTO',
    false,
    'The coordinator holds a record that this version cannot read: start the version that wrote it.',
  ),
  replicasUnavailable: row(
    'ServiceUnavailable',
    503,
    'EIO',
    true,
    'No node that has the bytes answers, and the origin does not have them yet; see `forebay status`.',
  ),
  sessionLost: row(
    'ServiceUnavailable',
    503,
    'ESTALE',
    true,
    'This life of the node is over for the cluster; it joins again by itself.',
  ),
  clusterMismatch: row(
    'InternalError',
    500,
    'EINVAL',
    false,
    'Give this node the definition of the volume that the cluster has, or the volume another name.',
  ),
  nameTaken: row(
    'InternalError',
    500,
    'EADDRINUSE',
    false,
    'Another live node of the cluster has this name: give each its own (node.name).',
  ),
  // this node
  corrupt: row('InternalError', 500, 'EIO', true, 'Stored bytes were wrong and have been dropped; read again.'),
  diskFull: row(
    'ServiceUnavailable',
    503,
    'ENOSPC',
    true,
    'The cache disk is full of bytes that cannot be evicted; see `forebay status`.',
    'OOM',
  ),
  diskUnavailable: row('ServiceUnavailable', 503, 'EIO', true, 'The cache disk does not answer; see `forebay status`.'),
  overloaded: row('SlowDown', 503, 'EAGAIN', true, 'A bound of this node is reached; try again later.'),
  shuttingDown: row('ServiceUnavailable', 503, 'ESHUTDOWN', true, 'This node is stopping; use another or try again.'),
  formatTooNew: row(
    'InternalError',
    500,
    'EPROTO',
    false,
    'The cache directory was written by a newer Forebay; start that version.',
  ),
  locked: row(
    'InternalError',
    500,
    'EBUSY',
    false,
    'Another daemon uses this cache directory; give each daemon its own.',
  ),
  doorTaken: row(
    'InternalError',
    500,
    'EADDRINUSE',
    false,
    'Stop what listens there, or give the door another address (port 0 takes any free one).',
  ),
  config: row('InternalError', 500, 'EINVAL', false, 'Correct the configuration.'),
  internal: row('InternalError', 500, 'EIO', true, 'This is a fault of Forebay; the log has the details.'),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

/** An error with a stable code. `message` says what happened and to what; the table's hint says what to do. */
export class ForebayError extends Error {
  override name = 'ForebayError';
  readonly code: ErrorCode;
  /** After how long the other side asked to be tried again, where it did. */
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; retryAfterMs?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
  }

  get row(): ErrorRow {
    return ERRORS[this.code];
  }
}

export function isForebayError(error: unknown, ...codes: readonly ErrorCode[]): error is ForebayError {
  return error instanceof ForebayError && (codes.length === 0 || codes.includes(error.code));
}

/** The reason of an aborted signal as an Error. */
export function abortReason(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('aborted', { cause: signal.reason });
}

/** Operations on buckets: volumes exist by configuration, so they can be looked at and not made or changed. */
import { ForebayError } from '../../core/errors.ts';
import { mayAccess } from '../credentials.ts';
import { hasQuery } from '../http/query.ts';
import { answerEmpty, answerXml } from './answer.ts';
import { OWNER } from './listing.ts';
import { ABSENT_CONFIGURATIONS } from './routes.ts';
import { answerCode } from './s3-error.ts';
import type { S3Request } from './s3-request.ts';
import { element, rootElement } from './xml.ts';

/** Volumes carry no date of birth; clients insist on one. */
const CREATED = element('CreationDate', '1970-01-01T00:00:00.000Z');

/** Those that the key may read or write; the others are not to be known. */
export function listBuckets(request: S3Request): void {
  const { key } = request.auth;
  const visible = [...request.parts.volumes.keys()]
    .filter((name) => mayAccess(key, name, 'read') || mayAccess(key, name, 'write'))
    .sort();
  const buckets = visible.map((name) => `<Bucket>${element('Name', name)}${CREATED}</Bucket>`);
  answerXml(request, rootElement('ListAllMyBucketsResult', OWNER, `<Buckets>${buckets.join('')}</Buckets>`));
}

export function headBucket(request: S3Request): void {
  answerEmpty(request, 200, ['x-amz-bucket-region', 'us-east-1']);
}

/** Tools create buckets before they use them: one that is there counts as theirs. */
export function createBucket(request: S3Request): void {
  throw new ForebayError('bucketExists', `the volume ${request.bucket} exists by configuration`);
}

/** The empty constraint is us-east-1; signatures for any region are taken. */
export function getBucketLocation(request: S3Request): void {
  answerXml(request, rootElement('LocationConstraint'));
}

export function getBucketVersioning(request: S3Request): void {
  answerXml(request, rootElement('VersioningConfiguration'));
}

export function getBucketRequestPayment(request: S3Request): void {
  answerXml(request, rootElement('RequestPaymentConfiguration', element('Payer', 'BucketOwner')));
}

export function getBucketLogging(request: S3Request): void {
  answerXml(request, rootElement('BucketLoggingStatus'));
}

export function getBucketNotification(request: S3Request): void {
  answerXml(request, rootElement('NotificationConfiguration'));
}

export function getBucketAccelerate(request: S3Request): void {
  answerXml(request, rootElement('AccelerateConfiguration'));
}

/** The owner has full control, of buckets and objects alike: rights are in the configuration. */
export function getAcl(request: S3Request): void {
  const grantee =
    '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">' +
    `${element('ID', 'forebay')}${element('DisplayName', 'forebay')}</Grantee>`;
  const grant = `<Grant>${grantee}${element('Permission', 'FULL_CONTROL')}</Grant>`;
  answerXml(request, rootElement('AccessControlPolicy', OWNER, `<AccessControlList>${grant}</AccessControlList>`));
}

/** Configurations that no volume has: S3 has a code for the absence of each. */
export function getBucketConfiguration(request: S3Request): void {
  const name = Object.keys(ABSENT_CONFIGURATIONS).find((candidate) => hasQuery(request.query, candidate)) as string;
  answerCode(
    request.exchange,
    { status: 404, code: ABSENT_CONFIGURATIONS[name] as string, message: `Volumes have no ${name}.` },
    { id: request.id, resource: request.exchange.target },
  );
}

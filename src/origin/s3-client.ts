/** The AWS SDK, loaded on first use, and how it is told to behave. */
import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3';
import { connectTimeoutMs, originSocketsMax } from '../core/limits.ts';

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface S3Access {
  readonly bucket: string;
  /** The service's URL where it is not AWS; addressed by path. */
  readonly endpoint?: string;
  readonly region?: string;
  /** Without them the SDK's own chain is asked: environment, profile, web identity, instance. */
  readonly credentials?: S3Credentials;
}

export type S3Module = typeof import('@aws-sdk/client-s3');

export interface OpenS3 {
  readonly sdk: S3Module;
  readonly client: S3Client;
}

export async function openS3(access: S3Access): Promise<OpenS3> {
  const sdk = await import('@aws-sdk/client-s3');
  return { sdk, client: new sdk.S3Client(clientConfig(access)) };
}

function ignore(): void {}

/** Retries are ours (`retry.ts`). Checksums that other makers' stores do not know are sent only to AWS. */
function clientConfig({ endpoint, region, credentials }: S3Access): S3ClientConfig {
  const place = region ?? (endpoint === undefined ? undefined : 'us-east-1');
  return {
    maxAttempts: 1,
    // what goes wrong is told by errors and events; the SDK would write to the console
    logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
    followRegionRedirects: false,
    expectContinueHeader: false,
    requestChecksumCalculation: endpoint === undefined ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: connectTimeoutMs,
      httpAgent: { keepAlive: true, maxSockets: originSocketsMax },
      httpsAgent: { keepAlive: true, maxSockets: originSocketsMax },
    },
    ...(place === undefined ? {} : { region: place }),
    ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
    ...(credentials === undefined ? {} : { credentials }),
  };
}

/** The AWS SDK for JavaScript, pointed at a door, with what tests of it share. */
import { Agent } from 'node:http';
import type { LookupFunction } from 'node:net';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';

/** Every name is this machine. */
const toLoopback: LookupFunction = (_name, options, callback) => {
  if (options.all === true) callback(null, [{ address: '127.0.0.1', family: 4 }]);
  else callback(null, '127.0.0.1', 4);
};

/** No retries: each answer is seen. */
export function sdkClient(
  port: number,
  key: { readonly id: string; readonly secret: string },
  options: { virtualHost?: boolean; systemClockOffset?: number } = {},
): S3Client & Disposable {
  const isVirtual = options.virtualHost === true;
  const s3 = new S3Client({
    endpoint: `http://${isVirtual ? 's3.example.test' : '127.0.0.1'}:${port}`,
    region: 'us-east-1',
    forcePathStyle: !isVirtual,
    credentials: { accessKeyId: key.id, secretAccessKey: key.secret },
    maxAttempts: 1,
    systemClockOffset: options.systemClockOffset ?? 0,
    ...(isVirtual ? { requestHandler: { httpAgent: new Agent({ lookup: toLoopback }) } } : {}),
  });
  return Object.assign(s3, { [Symbol.dispose]: () => s3.destroy() });
}

/** The error with which `promise` rejects. */
export async function failure(promise: Promise<unknown>): Promise<{ name: string; status: number; message: string }> {
  try {
    await promise;
  } catch (error) {
    const { name, message, $metadata } = error as Error & { $metadata?: { httpStatusCode?: number } };
    return { name, message, status: $metadata?.httpStatusCode ?? 0 };
  }
  throw new Error('it did not fail');
}

export async function bytesOf(
  s3: S3Client,
  input: ConstructorParameters<typeof GetObjectCommand>[0],
): Promise<Uint8Array> {
  const { Body } = await s3.send(new GetObjectCommand(input));
  return await (Body as NonNullable<typeof Body>).transformToByteArray();
}

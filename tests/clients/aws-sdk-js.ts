/** The AWS SDK for JavaScript, with its upload manager. */
import { createReadStream, createWriteStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutObjectCommand,
  paginateListObjectsV2,
  S3Client,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { type Client, type Door, downloadEach, filesBelow, PART_BYTES, type Tool } from './client.ts';

function connect(door: Door): Client {
  const client = new S3Client({
    endpoint: door.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: door.key.id, secretAccessKey: door.key.secret },
  });
  const Bucket = door.bucket;
  const own: Client = {
    async uploadFolder(folder, prefix) {
      for (const { path, file } of filesBelow(folder)) await own.upload(prefix + path, file);
    },
    downloadFolder: (prefix, folder) => downloadEach(own, prefix, folder),
    upload: async (Key, file) =>
      void (await client.send(new PutObjectCommand({ Bucket, Key, Body: createReadStream(file) }))),
    async uploadInParts(Key, file) {
      const params = { Bucket, Key, Body: createReadStream(file) };
      await new Upload({ client, params, partSize: PART_BYTES, queueSize: 3 }).done();
    },
    async download(Key, file) {
      const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }));
      await pipeline(Body as Readable, createWriteStream(file));
    },
    async range(Key, start, end) {
      const { Body } = await client.send(new GetObjectCommand({ Bucket, Key, Range: `bytes=${start}-${end - 1}` }));
      return Buffer.from((await Body?.transformToByteArray()) as Uint8Array);
    },
    async list(Prefix) {
      const keys: string[] = [];
      for await (const page of paginateListObjectsV2({ client }, { Bucket, Prefix }))
        keys.push(...(page.Contents ?? []).map((object) => object.Key as string));
      return keys;
    },
    copy: async (from, Key) =>
      void (await client.send(
        new CopyObjectCommand({
          Bucket,
          Key,
          CopySource: `${Bucket}/${from.split('/').map(encodeURIComponent).join('/')}`,
        }),
      )),
    remove: async (Key) => void (await client.send(new DeleteObjectCommand({ Bucket, Key }))),
    close: async () => client.destroy(),
  };
  return own;
}

export const awsSdkJs: Tool = {
  name: 'AWS SDK for JavaScript',
  connect: async (_, door) => connect(door),
};

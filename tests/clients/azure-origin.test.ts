import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { BlobServiceClient } from '@azure/storage-blob';
import { AZURITE_ACCOUNT, startAzurite } from '../servers/azurite.ts';
import { startClients } from './daemon.ts';
import { MANY, manyBytes, manyKey } from './suite.ts';

const UPLOADS_IN_FLIGHT = 16;

test('real clients work through the door of a daemon before Azure Blob Storage (Azurite)', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-clients-azure-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const azurite = await startAzurite();
  t.after(() => azurite.stop());
  const container = BlobServiceClient.fromConnectionString(azurite.connectionString).getContainerClient('lake');
  await container.create();
  let next = 0;
  const upload = async () => {
    while (next < MANY) {
      const i = next++;
      const bytes = manyBytes(i);
      await container.getBlockBlobClient(manyKey(i)).upload(bytes, bytes.length);
    }
  };
  await Promise.all(Array.from({ length: UPLOADS_IN_FLIGHT }, upload));
  await startClients(t, {
    directory,
    volume: { origin: `az://${AZURITE_ACCOUNT}/lake`, endpoint: azurite.endpoint },
    environment: { AZURE_STORAGE_CONNECTION_STRING: azurite.connectionString },
    origin: {
      async bytes(key) {
        const blob = container.getBlobClient(key);
        return (await blob.exists()) ? blob.downloadToBuffer() : undefined;
      },
    },
  });
});

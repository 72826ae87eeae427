/** Azurite, the emulator of Azure Blob Storage: in memory, on a free port, without its telemetry. */
import { fileURLToPath } from 'node:url';
import { startServer } from './server-process.ts';

export const AZURITE_ACCOUNT = 'devstoreaccount1';
/** The key that every Azurite has; it is in Microsoft's documentation. */
export const AZURITE_KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';

export interface Azurite {
  /** The blob service's URL, with the account. */
  readonly endpoint: string;
  readonly connectionString: string;
  stop(): Promise<void>;
}

export async function startAzurite(): Promise<Azurite> {
  const main = fileURLToPath(import.meta.resolve('azurite/dist/src/blob/main.js'));
  const options = ['--inMemoryPersistence', '--skipApiVersionCheck', '--disableTelemetry', '--silent'];
  const place = ['--blobHost', '127.0.0.1', '--blobPort', '0'];
  const server = await startServer(process.execPath, ['--no-deprecation', main, ...place, ...options], {
    ready: /successfully listens on (http:\/\/\S+)/,
  });
  const endpoint = `${server.address}/${AZURITE_ACCOUNT}`;
  const connectionString = `DefaultEndpointsProtocol=http;AccountName=${AZURITE_ACCOUNT};AccountKey=${AZURITE_KEY};BlobEndpoint=${endpoint};`;
  return { endpoint, connectionString, stop: () => server.stop() };
}

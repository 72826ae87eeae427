import { after } from 'node:test';
import { runOriginConformance } from '../../tests/conformance/origin.ts';
import { AZURITE_ACCOUNT, type Azurite, startAzurite } from '../../tests/servers/azurite.ts';
import { createRealClock } from '../io/real/clock.ts';
import { createRealRandom } from '../io/real/random.ts';
import { createAzureOrigin } from './azure.ts';
import { openContainer } from './azure-client.ts';
import { retry } from './retry.ts';

let azurite: Promise<Azurite> | undefined;
let containers = 0;

after(async () => {
  await (await azurite)?.stop();
});

async function freshContainer(): Promise<{
  endpoint: string;
  account: string;
  container: string;
  credentials: { connectionString: string };
}> {
  azurite ??= startAzurite();
  const { endpoint, connectionString } = await azurite;
  const access = {
    endpoint,
    account: AZURITE_ACCOUNT,
    container: `test-${containers++}`,
    credentials: { connectionString },
  };
  await (await openContainer(access)).create();
  return access;
}

for (const prefix of ['', 'some/where/']) {
  runOriginConformance(
    prefix === '' ? 'azure (Azurite)' : 'azure (Azurite) below a prefix',
    async () => {
      const access = await freshContainer();
      const io = { clock: createRealClock(), random: createRealRandom() };
      const origin = createAzureOrigin({ ...io, ...access, prefix, url: `az://${access.account}/${access.container}` });
      return { origin: retry(origin, { ...io, emit: () => undefined }), close: () => origin.close() };
    },
    {
      noDotSegments: true,
      uploadsNeverEnd: true,
      noControlCharacters: true,
      ordersByUtf16: true,
      manyKeys: prefix === '' ? 2500 : 120,
    },
  );
}

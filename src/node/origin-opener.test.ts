import assert from 'node:assert/strict';
import { test } from 'node:test';
import { azureCredentials } from './origin-opener.ts';

test('Azure credentials come from the environment: connection string, SAS token, key, in this order', () => {
  const all = {
    AZURE_STORAGE_CONNECTION_STRING: 'cs',
    AZURE_STORAGE_SAS_TOKEN: '?sv=1&sig=x',
    AZURE_STORAGE_KEY: 'key',
    AZURE_STORAGE_ACCOUNT: 'acct',
  };
  assert.deepEqual(azureCredentials(all), { connectionString: 'cs' });
  assert.deepEqual(azureCredentials({ ...all, AZURE_STORAGE_CONNECTION_STRING: '' }), { sasToken: 'sv=1&sig=x' });
  assert.deepEqual(azureCredentials({ AZURE_STORAGE_KEY: 'key', AZURE_STORAGE_ACCOUNT: 'acct' }), {
    accountKey: 'key',
    account: 'acct',
  });
  assert.equal(azureCredentials({}), undefined);
});

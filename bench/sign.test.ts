import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';
import { signedHeaders } from './sign.ts';

test("a signature equals that of AWS's own signer", async () => {
  const key = { id: 'AKIDEXAMPLE', secret: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };
  const atMs = Date.UTC(2026, 10, 22, 1, 2, 3);
  const path = '/models/a%20b%2Bc/%C3%BC';
  const theirs = await new SignatureV4({
    credentials: { accessKeyId: key.id, secretAccessKey: key.secret },
    region: 'us-east-1',
    service: 's3',
    sha256: Sha256,
    uriEscapePath: false,
  }).sign(
    {
      method: 'GET',
      protocol: 'http:',
      hostname: '127.0.0.1',
      port: 7070,
      path,
      headers: { host: '127.0.0.1:7070', 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' },
    },
    { signingDate: new Date(atMs) },
  );
  const ours = signedHeaders(key, { method: 'GET', host: '127.0.0.1:7070', path, atMs });
  assert.equal(ours['authorization'], theirs.headers['authorization']);
});

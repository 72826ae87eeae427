/** `forebay env`: what a shell needs to point AWS tools at a node: `eval "$(forebay env)"`. */
import { formatAddress } from '../core/address.ts';
import type { NodeStatus } from '../front/admin/node-status.ts';
import { DONE, Failure, failureOf } from './failure.ts';
import type { Output } from './output.ts';
import { type ClientOptions, clientOf, configOf, ownKey } from './session.ts';

/** SDKs want one; the door takes any that the signature names. */
const REGION = 'us-east-1';

export async function env(_: readonly string[], options: ClientOptions, output: Output): Promise<number> {
  const key = await ownKey(options);
  if (!key) throw new Failure('there is no key yet', { hint: 'The first `forebay up` of this user writes one.' });
  const exports = {
    AWS_ENDPOINT_URL_S3: `http://${await s3Address(options)}`,
    AWS_ACCESS_KEY_ID: key.id,
    AWS_SECRET_ACCESS_KEY: key.secret,
    AWS_REGION: REGION,
  };
  if (output.json) output.object(exports);
  else for (const [name, value] of Object.entries(exports)) output.line(`export ${name}=${quoted(value)}`);
  return DONE;
}

/** As the running node says; where none runs, as the configuration says. */
async function s3Address(options: ClientOptions): Promise<string> {
  try {
    const status = await (await clientOf(options)).get<NodeStatus>('/v1/status');
    if (status.doors['s3'] === undefined)
      throw new Failure('the S3 door of the node is switched off', { hint: 'Set doors.s3 to an address.' });
    return reachable(status.doors['s3']);
  } catch (error) {
    const cause = failureOf(error);
    const s3 = options.admin === undefined ? (await configOf(options)).doors.s3 : false;
    const isDown = (cause.cause as NodeJS.ErrnoException | undefined)?.code === 'ECONNREFUSED';
    if (!isDown || !s3 || s3.port === 0) throw error;
    return reachable(formatAddress(s3));
  }
}

/** An address to connect to: one that listens everywhere is reached by loopback. */
function reachable(address: string): string {
  return address.replace(/^0\.0\.0\.0:/, '127.0.0.1:').replace(/^\[::\]:/, '[::1]:');
}

function quoted(value: string): string {
  return /^[A-Za-z0-9_:/.[\]-]+$/.test(value) && !value.includes('[') ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}

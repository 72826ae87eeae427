/** What `forebay doctor` asks of the network: ports, origins with their credentials, and their clocks. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { type Address, formatAddress, isLoopback } from '../core/address.ts';
import { isForebayError } from '../core/errors.ts';
import { originProbeMs, signatureSkewMs } from '../core/limits.ts';
import { formatDuration } from '../core/quantity.ts';
import { createRealClock } from '../io/real/clock.ts';
import { createRealRandom } from '../io/real/random.ts';
import type { Config, VolumeConfig } from './config.ts';
import type { Surroundings } from './config-schema.ts';
import { type Finding, fail, ok, warn } from './finding.ts';
import { originOpener } from './origin-opener.ts';

const CLOCK_TIMEOUT_MS = 5000;
const SKEW_WARN_MS = 60_000;

export async function diagnosePorts(config: Config): Promise<Finding[]> {
  const doors = Object.entries({
    s3: config.doors.s3,
    ...(config.volumes.some(({ volume }) => volume.kv) && { resp: config.doors.resp }),
    admin: config.doors.admin,
    ...(config.doors.peer && { peer: config.doors.peer }),
  });
  return Promise.all(doors.map(([name, address]) => port(name, address, config)));
}

async function port(name: string, address: Address | false, config: Config): Promise<Finding> {
  if (!address) return ok(`${name} door`, 'switched off');
  const server = createServer();
  const where = formatAddress(address);
  try {
    server.listen(address.port, address.host);
    await once(server, 'listening');
    server.close();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    if (code === 'EADDRINUSE' && (await isForebay(config)))
      return ok(`${name} door`, `${where} is taken, and a Forebay answers at the admin door`);
    const hint = `Set doors.${name} to a free address of this machine.`;
    return fail(
      `${name} door`,
      code === 'EADDRINUSE' ? `${where} is taken by something else` : `${where}: ${code}`,
      hint,
    );
  }
  if (!isLoopback(address.host) && name !== 'peer')
    return warn(
      `${name} door`,
      `${where} can be reached by others, without encryption`,
      'Keep it inside a trusted network: keys guard it, but bytes are readable on the way.',
    );
  return ok(`${name} door`, `${where} is free`);
}

async function isForebay(config: Config): Promise<boolean> {
  const { admin } = config.doors;
  if (!admin) return false;
  try {
    const answer = await fetch(`http://${formatAddress(admin)}/healthz`, { signal: AbortSignal.timeout(1000) });
    return ((await answer.json()) as { ok?: boolean }).ok === true;
  } catch {
    return false;
  }
}

/** Every volume's origin with the credentials of this environment, and its clock. */
export async function diagnoseOrigins(config: Config, here: Surroundings): Promise<Finding[]> {
  const open = originOpener({
    io: { clock: createRealClock({ ffi: config.node.ffi }), random: createRealRandom() },
    emit: () => undefined,
    environment: here.environment,
    ffi: config.node.ffi,
  });
  const findings = await Promise.all(
    config.volumes
      .filter(({ volume }) => volume.kv === undefined)
      .map(async (volume) => [...(await origin(volume, open)), ...(await clockSkew(volume))]),
  );
  return findings.flat();
}

async function origin(config: VolumeConfig, open: ReturnType<typeof originOpener>): Promise<Finding[]> {
  const check = `volume ${config.volume.name}`;
  const where = config.volume.origin;
  const opened = open(config);
  try {
    await opened.probe({ signal: AbortSignal.timeout(originProbeMs) });
    return [ok(check, `${where} answers and takes the credentials`)];
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const denied = isForebayError(error, 'originDenied');
    return [
      fail(
        check,
        `${where}: ${message}`,
        denied || where.startsWith('file:')
          ? credentialsHint(where)
          : 'Check the address and the way there: name resolution, firewall, proxy.',
      ),
    ];
  } finally {
    await opened.close();
  }
}

function credentialsHint(url: string): string {
  if (url.startsWith('az:'))
    return 'Set AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_KEY, or give this machine an identity with the role Storage Blob Data Reader (Contributor to write).';
  if (url.startsWith('s3:'))
    return 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give this machine a role.';
  return 'Make the directory, and give this user the right to read it.';
}

/** Signatures are refused past 15 minutes of difference. */
async function clockSkew(config: VolumeConfig): Promise<Finding[]> {
  const url = serviceUrl(config);
  if (url === undefined) return [];
  try {
    const fromMs = Date.now();
    const answer = await fetch(url, {
      method: 'HEAD',
      redirect: 'manual',
      signal: AbortSignal.timeout(CLOCK_TIMEOUT_MS),
    });
    const theirs = Date.parse(answer.headers.get('date') ?? '');
    if (Number.isNaN(theirs)) return [];
    const skewMs = Math.abs((fromMs + Date.now()) / 2 - theirs);
    const text = `${formatDuration(Math.round(skewMs / 1000) * 1000)} apart from ${new URL(url).host}`;
    const hint = 'Set the clock of this machine (chrony, systemd-timesyncd).';
    if (skewMs > signatureSkewMs) return [fail('clock', `${text}: its signatures are refused`, hint)];
    return [
      skewMs > SKEW_WARN_MS
        ? warn('clock', text, hint)
        : ok('clock', `less than a minute apart from ${new URL(url).host}`),
    ];
  } catch {
    // That it cannot be reached is said by the check of the volume.
    return [];
  }
}

function serviceUrl({ volume, endpoint, region }: VolumeConfig): string | undefined {
  if (endpoint !== undefined) return endpoint;
  const account = /^az:\/\/([^/]+)/.exec(volume.origin)?.[1];
  if (account !== undefined) return `https://${account}.blob.core.windows.net/`;
  return volume.origin.startsWith('s3:') ? `https://s3.${region ?? 'us-east-1'}.amazonaws.com/` : undefined;
}

/** etcd, Debian's `etcd-server`: a single one or a cluster of several, on free ports, in a temporary directory. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json as jsonOf } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { requireTool } from '../tools.ts';
import { freePorts } from './free-port.ts';
import { type ServerProcess, startServer } from './server-process.ts';

const OPENSSL = 'openssl';
const STARTS_MAX = 5;
/** Fast elections, so that terms of a second are kept; passwords are not what is tested. */
const TIMING = ['--heartbeat-interval', '20', '--election-timeout', '200', '--bcrypt-cost', '4'];
const READY = /(?:ready to serve client requests)()/;

export interface Certificates {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

export interface EtcdServer {
  readonly port: number;
  readonly endpoint: string;
  /** Of a server with TLS. */
  readonly certificates: Certificates | undefined;
  post(path: string, body: object): Promise<unknown>;
  /** Switches authentication on: from now on `post` is root's, and the user returned may use what is below /forebay/test/. */
  useUsers(): Promise<{ readonly user: string; readonly password: string }>;
  /** Forgets the history up to now. */
  compact(): Promise<void>;
  stop(): Promise<void>;
  /** Starts it again where it stopped, or with `empty` as if nothing had ever been. */
  restart(options?: { empty?: boolean }): Promise<void>;
}

/** The servers, stopped when the test ends; undefined when there is no etcd and the test was skipped. */
export async function startEtcd(
  t: TestContext,
  options: { members?: number; tls?: boolean } = {},
): Promise<readonly EtcdServer[] | undefined> {
  const etcd = requireTool(t, 'etcd');
  if (etcd === undefined) return undefined;
  if (options.tls && requireTool(t, OPENSSL) === undefined) return undefined;
  const directory = mkdtempSync(join(tmpdir(), 'forebay-etcd-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  for (let tries = 1; ; tries++) {
    try {
      return await startMembers(t, { etcd, directory: join(directory, String(tries)), ...options });
    } catch (error) {
      if (tries === STARTS_MAX || !/address already in use/.test(String(error))) throw error;
    }
  }
}

async function startMembers(
  t: TestContext,
  { etcd, directory, members = 1, tls = false }: { etcd: string; directory: string; members?: number; tls?: boolean },
): Promise<readonly EtcdServer[]> {
  const ports = await freePorts(2 * members);
  const scheme = tls ? 'https' : 'http';
  const certificates = tls ? makeCertificates(directory) : undefined;
  const plan = Array.from({ length: members }, (_, index) => ({
    name: `etcd-${index}`,
    port: ports[2 * index] as number,
    peer: `http://127.0.0.1:${ports[2 * index + 1]}`,
  }));
  const cluster = plan.map(({ name, peer }) => `${name}=${peer}`).join(',');
  const start = ({ name, port, peer }: (typeof plan)[number]) => {
    const url = `${scheme}://127.0.0.1:${port}`;
    const args = ['--name', name, '--data-dir', join(directory, name), '--initial-cluster', cluster, ...TIMING];
    args.push('--listen-client-urls', url, '--advertise-client-urls', url);
    args.push('--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--log-level', 'info');
    args.push('--initial-cluster-token', directory);
    if (tls) args.push('--cert-file', join(directory, 'server.pem'), '--key-file', join(directory, 'server-key.pem'));
    if (tls) args.push('--client-cert-auth', '--trusted-ca-file', join(directory, 'ca.pem'));
    return startServer(etcd, args, { ready: READY });
  };
  // One alone waits for the others: all start before any is ready.
  const starting = await Promise.allSettled(plan.map(start));
  const failed = starting.find((outcome) => outcome.status === 'rejected');
  const running = starting.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  if (failed) {
    await Promise.all(running.map((server) => server.stop()));
    throw failed.reason;
  }
  return plan.map((member, index) => {
    let server = running[index] as ServerProcess;
    t.after(() => server.stop());
    const endpoint = `${scheme}://127.0.0.1:${member.port}`;
    let token: string | undefined;
    const post = (path: string, body: object) => exchange(endpoint + path, body, { certificates, token });
    return {
      port: member.port,
      endpoint,
      certificates,
      post,
      async useUsers() {
        const add = async (name: string, password: string, role: string) => {
          await post('/v3/auth/user/add', { name, password });
          await post('/v3/auth/role/add', { name: role });
          await post('/v3/auth/user/grant', { user: name, role });
        };
        await add('root', 'root-secret', 'root');
        await add('node', 'node-secret', 'nodes');
        const [key, range_end] = ['/forebay/test/', '/forebay/test0'].map((name) =>
          Buffer.from(name).toString('base64'),
        );
        const perm = { permType: 'READWRITE', key, range_end };
        await post('/v3/auth/role/grant', { name: 'nodes', perm });
        await post('/v3/auth/enable', {});
        const root = { name: 'root', password: 'root-secret' };
        token = ((await post('/v3/auth/authenticate', root)) as { token: string }).token;
        return { user: 'node', password: 'node-secret' };
      },
      async compact() {
        const { header } = (await post('/v3/kv/range', { key: 'AA==' })) as { header: { revision: string } };
        await post('/v3/kv/compaction', { revision: header.revision, physical: true });
      },
      stop: () => server.stop(),
      async restart({ empty = false } = {}) {
        await server.stop();
        if (empty) rmSync(join(directory, member.name), { recursive: true, force: true });
        server = await start(member);
      },
    };
  });
}

/** One request to the gateway, over TLS with the client's certificate where there is one. */
function exchange(
  url: string,
  body: object,
  { certificates, token }: { certificates: Certificates | undefined; token: string | undefined },
): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const headers = { ...(token !== undefined && { authorization: token }) };
  const tls = certificates && { ca: certificates.ca, cert: certificates.certificate, key: certificates.key };
  const request = (tls ? httpsRequest : httpRequest)(url, { method: 'POST', agent: false, headers, ...tls });
  request.on('error', reject);
  request.on('response', (response) => {
    jsonOf(response).then((answer) => {
      if (response.statusCode === 200) resolve(answer);
      else reject(new Error(`${url}: ${JSON.stringify(answer)}`));
    }, reject);
  });
  request.end(JSON.stringify(body));
  return promise;
}

/** A certificate authority, and certificates of it for the server and a client. */
function makeCertificates(directory: string): Certificates {
  mkdirSync(directory, { recursive: true });
  const at = (name: string) => join(directory, name);
  const openssl = (...args: string[]) => execFileSync(OPENSSL, args, { stdio: 'pipe' });
  // No common name: with users switched on, etcd's gateway refuses certificates that name one.
  const subject = (name: string) => ['-subj', `/O=${name}`];
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...newKey,
    '-days',
    '2',
    ...subject('test CA'),
    '-keyout',
    at('ca-key.pem'),
    '-out',
    at('ca.pem'),
  );
  writeFileSync(at('extensions'), 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n');
  for (const name of ['server', 'client']) {
    openssl('req', ...newKey, ...subject(name), '-keyout', at(`${name}-key.pem`), '-out', at(`${name}.csr`));
    const ca = ['-CA', at('ca.pem'), '-CAkey', at('ca-key.pem'), '-CAcreateserial'];
    openssl(
      'x509',
      '-req',
      '-in',
      at(`${name}.csr`),
      ...ca,
      '-days',
      '2',
      '-extfile',
      at('extensions'),
      '-out',
      at(`${name}.pem`),
    );
  }
  const read = (name: string) => readFileSync(at(name), 'utf8');
  return { ca: read('ca.pem'), certificate: read('client.pem'), key: read('client-key.pem') };
}

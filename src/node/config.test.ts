import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { ForebayError } from '../core/errors.ts';
import { type ConfigRequest, loadConfig, parseConfig } from './config.ts';
import type { Surroundings } from './config-schema.ts';

const HERE: Surroundings = { hostName: 'host-1', homeDirectory: '/home/u', workingDirectory: '/srv', environment: {} };

function complaints(request: ConfigRequest & { text?: string }): string[] {
  try {
    parseConfig(request, HERE);
  } catch (error) {
    assert.ok(error instanceof ForebayError && error.code === 'config', String(error));
    return error.message.split('\n');
  }
  return [];
}

const volume = (line: string): string => `[volumes.models]\norigin = "memory:"\n${line}`;

test('an empty configuration has the defaults of the contract', () => {
  const config = parseConfig({}, HERE);
  assert.equal(config.node.name, 'host-1');
  assert.equal(config.node.cacheDir, '/home/u/.cache/forebay/data');
  assert.equal(config.node.memoryBytes, 2 ** 30);
  assert.deepEqual(config.doors.s3, { host: '127.0.0.1', port: 7070 });
  assert.deepEqual(config.doors.admin, { host: '127.0.0.1', port: 7073 });
  assert.equal(config.doors.anonymous, false);
  assert.deepEqual(config.volumes, []);
});

test('a volume has the defaults of the contract: read-only, asked again after a minute, stale without bound', () => {
  const config = parseConfig({ text: volume('') }, HERE);
  assert.deepEqual(config.volumes, [
    {
      endpoint: undefined,
      region: undefined,
      volume: {
        name: 'models',
        origin: 'memory:',
        write: false,
        revalidateMs: 60_000,
        staleIfErrorMs: Infinity,
        chunkSizeBytes: 16 << 20,
        verify: 'arrival',
      },
    },
  ]);
});

test('a volume that is always asked is never served stale unless it says so', () => {
  const stale = (line: string) => parseConfig({ text: volume(line) }, HERE).volumes[0]?.volume.staleIfErrorMs;
  assert.equal(stale('revalidate = "always"'), 0);
  assert.equal(stale('revalidate = "always"\nstaleIfError = "5m"'), 300_000);
  assert.equal(stale('revalidate = "never"'), Infinity);
  assert.equal(stale('staleIfError = "never"'), 0);
});

test('every key of this version is taken', () => {
  const text = `
    [node]
    name = "gpu-017"
    zone = "rack-4"
    cacheDir = "~/cache"
    capacity = "7TiB"
    memory = "256MiB"
    ffi = "off"
    [doors]
    s3 = "127.0.0.1:0"
    resp = false
    admin = false
    peer = false
    anonymous = true
    domain = "s3.local"
    hosts = ["forebay.example.com"]
    [cluster]
    name = "apollo"
    coordinator = "embedded"
    [log]
    level = "debug"
    format = "json"
    [keys.trainer]
    secret = "0123456789abcdef"
    volumes = ["models"]
    rights = ["read", "write"]
    [volumes.models]
    origin = "s3://bucket/prefix"
    endpoint = "http://127.0.0.1:9000"
    region = "eu-west-1"
    kind = "objects"
    write = true
    ack = "origin"
    replicas = 1
    revalidate = "never"
    staleIfError = "24h"
    onFull = "block"
    onPartition = "stale"
    onDegraded = "wait"
    drainOrder = "directory"
    verify = "always"
    chunkSize = "8MiB"`;
  const config = parseConfig({ text }, HERE);
  assert.equal(config.node.cacheDir, '/home/u/cache');
  assert.equal(config.node.capacityBytes, 7 * 2 ** 40);
  assert.equal(config.doors.admin, false);
  assert.deepEqual(config.keys, [
    { id: 'trainer', secret: '0123456789abcdef', volumes: ['models'], rights: ['read', 'write'] },
  ]);
  assert.deepEqual(config.volumes[0]?.endpoint, 'http://127.0.0.1:9000');
  assert.equal(config.volumes[0]?.volume.revalidateMs, Infinity);
});

test('unknown keys are errors that name the line and the key that was meant', () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['[node]\n\ncacheDr = "x"', /^forebay\.toml:3: node\.cacheDr: unknown key; did you mean node\.cacheDir\?$/],
    ['cacheDir = "x"', /^forebay\.toml:1: cacheDir: unknown key; did you mean node\.cacheDir\?$/],
    ['[volume.models]\norigin = "memory:"', /^forebay\.toml:1: volume: unknown key; did you mean volumes\?$/],
    [
      volume('orign = "x"'),
      /^forebay\.toml:3: volumes\.models\.orign: unknown key; did you mean volumes\.models\.origin\?$/,
    ],
    [
      volume('bandwith = 1'),
      /^forebay\.toml:3: volumes\.models\.bandwith: unknown key; the nearest known one is volumes\.models\.\w+ \(all: origin, /,
    ],
    ['[node]\nwrite = true', /^forebay\.toml:2: node\.write: unknown key; did you mean volumes\.NAME\.write\?$/],
    ['node.nane = "x"', /^forebay\.toml:1: node\.nane: unknown key; did you mean node\.name\?$/],
    ['__proto__ = 1', /__proto__: unknown key/],
  ];
  for (const [text, expected] of wrong) assert.match(complaints({ text })[0] ?? '', expected);
});

test('wrong values say what was expected, what was found and how to write it', () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    [
      '[node]\ncapacity = 7',
      /^forebay\.toml:2: node\.capacity: expected a size .*, got the number 7; write it like capacity = "7TiB"$/,
    ],
    ['[node]\ncapacity = "1MiB"', /expected a size of at least 64 MiB, got "1MiB"/],
    ['[node]\nname = ""', /expected a name .*, got ""/],
    ['node = 5', /^forebay\.toml:1: node: expected a table, got the number 5; write it like \[node\]$/],
    ['[doors]\ns3 = true', /expected an address .* or false, got true; write it like s3 = "127\.0\.0\.1:7070"/],
    ['[doors]\ns3 = "7070"', /expected an address/],
    ['[doors]\ns3 = "127.0.0.1:7000"\nadmin = "127.0.0.1:7000"', /both want 127\.0\.0\.1:7000/],
    [volume('write = "yes"'), /expected true or false, got "yes"; write it like write = true/],
    [
      volume('revalidate = 60'),
      /expected a duration or "never" or "always", got the number 60; write it like revalidate = "60s"/,
    ],
    [volume('chunkSize = "1500kB"'), /expected a size in whole MiB from 1 MiB to 32 MiB, got "1500kB"/],
    [volume('verify = "no"'), /expected "arrival" or "always", got "no"/],
    [volume('replicas = 0'), /expected a whole number from 1 to 5, got the number 0/],
    [volume('region = "eu-west-1"'), /a region is for s3:\/\/ origins, not for memory:/],
    [volume('endpoint = "http://x"'), /an endpoint is for az:\/\/ and s3:\/\/ origins/],
    ['[volumes.models]\nwrite = true', /volumes\.models\.origin: expected an origin: .*, but it is missing/],
    [
      '[volumes.My_Volume]\norigin = "memory:"',
      /^forebay\.toml:1: volumes\.My_Volume: expected a volume name of 2 to 63/,
    ],
    ['[keys.abc]\nsecret = "short"\nvolumes = ["*"]\nrights = ["read"]', /expected at least 16 printable characters/],
    [
      '[keys.abc]\nsecret = "0123456789abcdef"\nvolumes = ["*"]\nrights = ["own"]',
      /expected a list of rights \(read, write, admin\)/,
    ],
    ['[keys.abc]\nsecret = "0123456789abcdef"\nvolumes = ["nope"]\nrights = ["read"]', /there is no volume "nope"/],
    ['[node\nname = 1', /^forebay\.toml:1:\d+: not TOML: /],
  ];
  for (const [text, expected] of wrong) assert.match(complaints({ text })[0] ?? 'no complaint', expected);
});

test('no complaint repeats a secret', () => {
  const text = '[keys.abc]\nsecret = "hunter2hunter2 hunter2"\nvolumes = ["*"]\nrights = ["read"]';
  assert.doesNotMatch(complaints({ text }).join('\n'), /hunter2/);
  assert.doesNotMatch(complaints({ set: ['keys.abc.secret=hunter2'] }).join('\n'), /hunter2/);
});

test('what a later version will honour is refused by name, never ignored', () => {
  const refused: readonly string[] = ['[doors]\nazblob = "127.0.0.1:7071"'];
  for (const text of refused)
    assert.match(complaints({ text })[0] ?? 'no complaint', /comes with a later version/, text);
});

test('how writes are taken is configured per volume, with defaults, and what would change nothing is refused', () => {
  const writesOf = (rest: string) => parseConfig({ text: volume(rest) }, HERE).volumes[0]?.volume.writes;
  assert.equal(writesOf('write = true'), undefined, 'every write waits for the origin, as before');
  assert.equal(writesOf('write = true\nack = "origin"\nreplicas = 1'), undefined);
  assert.deepEqual(writesOf('write = true\nack = "local"'), {
    ack: 'local',
    replicas: 2,
    onDegraded: 'wait',
    onFull: 'block',
    onConflict: 'hold',
    drainOrder: 'directory',
  });
  const all =
    'write = true\nack = "replicated"\nreplicas = 3\nonDegraded = "local"\nonFull = "fail"\nonConflict = "skip"\ndrainOrder = "none"';
  assert.deepEqual(writesOf(all), {
    ack: 'replicated',
    replicas: 3,
    onDegraded: 'local',
    onFull: 'fail',
    onConflict: 'skip',
    drainOrder: 'none',
  });
  assert.equal(writesOf('write = true\nreplicas = 2')?.ack, 'origin');
  const wrong: Readonly<Record<string, RegExp>> = {
    'ack = "local"': /ack = "local" is for volumes that are written to.*set write = true/,
    'replicas = 2': /replicas = 2 is for volumes that are written to/,
    'write = true\nack = "replicated"\nreplicas = 1': /with one copy, the writer's own, is ack = "local"/,
    'write = true\nreplicas = 6': /a whole number from 1 to 5/,
    'write = true\nack = "remote"': /expected "local" or "replicated" or "origin", got "remote"/,
    'write = true\nonFull = "fail"': /onFull = "fail" is for volumes whose writes are held by nodes first/,
    'onDegraded = "origin"': /is for volumes whose writes are held by nodes first/,
  };
  for (const [rest, message] of Object.entries(wrong))
    assert.match(complaints({ text: volume(rest) })[0] ?? '', message, rest);
});

test('a cluster is configured as a whole, and what only a cluster has is refused without one', () => {
  const cluster = (rest: string) => `[cluster]\ncoordinator = "embedded:/shared/c.sqlite"\n${rest}`;
  const secret = 'secretFile = "/etc/forebay/secret"\n';
  assert.deepEqual(complaints({ text: cluster(secret) }), []);
  assert.deepEqual(
    complaints({ text: cluster(`${secret}[doors]\npeer = "0.0.0.0:7074"\n[node]\nadvertise = "10.0.0.1:7074"`) }),
    [],
  );
  const wrong: Readonly<Record<string, RegExp>> = {
    [cluster('')]: /needs a secret .*openssl rand/,
    [cluster(`${secret}[doors]\npeer = "0.0.0.0:7074"`)]: /set node\.advertise/,
    [cluster(`${secret}[doors]\npeer = false`)]: /serves its peers/,
    [cluster(`${secret}transport = "udp"`)]: /expected "plain" or "tls"/,
    '[cluster]\nsecretFile = "/etc/forebay/secret"': /is for several nodes/,
    '[doors]\npeer = "127.0.0.1:7074"': /is for several nodes/,
    '[node]\nadvertise = "10.0.0.1:7074"': /is for several nodes/,
    '[cluster]\ncoordinator = "zookeeper://10.0.0.1"': /etcd\(s\):\/\/HOST:PORT/,
    '[cluster]\ncoordinator = "etcds://user:password@10.0.0.1:2379"': /expected/,
  };
  for (const [text, expected] of Object.entries(wrong))
    assert.match(complaints({ text })[0] ?? 'no complaint', expected, text);
});

test('origins are checked for form, and never hold secrets', () => {
  const right = [
    'az://account/container',
    'az://account/container/a/b',
    's3://bucket',
    's3://my.bucket/p/',
    'file:///data',
    'memory:',
  ];
  for (const origin of right) assert.deepEqual(complaints({ text: `[volumes.abc]\norigin = "${origin}"` }), [], origin);
  const wrong: Readonly<Record<string, RegExp>> = {
    'az://account': /expected an origin/,
    'az://Account/container': /expected an origin/,
    's3://': /expected an origin/,
    's3://-ab': /expected an origin/,
    'file:///a/%2e%2e/b': /without "\." and "\.\."/,
    'https://account.blob.core.windows.net/c': /expected an origin/,
    'file://data/x': /absolute path/,
    'file:///a/../b': /without "\." and "\.\."/,
    'az://account/container?sv=1&sig=abc': /holds no secrets/,
    's3://key:secret@bucket': /holds no secrets/,
  };
  for (const [origin, expected] of Object.entries(wrong))
    assert.match(complaints({ text: `[volumes.abc]\norigin = "${origin}"` })[0] ?? 'no complaint', expected, origin);
  const endpoint = '[volumes.abc]\norigin = "s3://bucket"\nendpoint = "http://user:pw@x"';
  assert.match(complaints({ text: endpoint })[0] ?? '', /an endpoint holds no secrets/);
});

test('a cache directory within its own origin, or around it, is refused', () => {
  const at = (origin: string, cacheDir: string) =>
    complaints({ text: `[node]\ncacheDir = "${cacheDir}"\n[volumes.models]\norigin = "${origin}"` })[0] ?? '';
  for (const [origin, cacheDir] of [
    ['file:///data', '/data/cache'],
    ['file:///data', '/data'],
    ['file:///', '/cache'],
    ['file:///cache/models', '/cache'],
    ['file:///a%20b/', '/a b/c'],
  ] as const)
    assert.match(at(origin, cacheDir), /^forebay\.toml:4: volumes\.models\.origin: .* lie in one another/, origin);
  assert.equal(at('file:///data', '/database'), '');
});

test('anonymous doors are for loopback only', () => {
  for (const s3 of ['0.0.0.0:7070', '10.0.0.1:7070', '[::]:7070', 'gpu-017:7070'])
    assert.match(
      complaints({ text: `[doors]\nanonymous = true\ns3 = "${s3}"` })[0] ?? '',
      /for loopback only, but doors\.s3/,
    );
  assert.deepEqual(complaints({ text: '[doors]\nanonymous = true\ns3 = "localhost:7070"\nadmin = "[::1]:7073"' }), []);
  assert.deepEqual(complaints({ text: '[doors]\ns3 = "0.0.0.0:7070"' }), []);
});

test('options override the file, later ones win, and complaints name the option', () => {
  const text = '[node]\nname = "file"\n[volumes.models]\norigin = "memory:"\n';
  const set = [
    'node.name=first',
    'node.name=17',
    'volumes.models.write=true',
    'node.cacheDir=rel/./dir',
    'doors.s3=false',
  ];
  const config = parseConfig({ text, set, volume: ['models=file:///data', 'other=memory:'] }, HERE);
  assert.equal(config.node.name, '17');
  assert.equal(config.node.cacheDir, '/srv/rel/dir');
  assert.equal(config.doors.s3, false);
  assert.deepEqual(
    config.volumes.map(({ volume }) => [volume.name, volume.origin, volume.write]),
    [
      ['models', 'file:///data', true],
      ['other', 'memory:', false],
    ],
  );
  assert.match(
    complaints({ set: ['node.memory=lots'] })[0] ?? '',
    /^--set node\.memory: node\.memory: expected a size/,
  );
  assert.match(complaints({ set: ['node.nane=x'] })[0] ?? '', /^--set node\.nane: .*did you mean node\.name/);
  assert.match(complaints({ set: ['node=5'] })[0] ?? '', /node: expected a table, got "5"/);
  for (const bad of ['node.name', '=x', 'a b=c', '.x=1', 'x.=1', ''])
    assert.match(complaints({ set: [bad] })[0] ?? '', /write it like --set node/, bad);
  for (const bad of ['models', 'models=', '=memory:'])
    assert.match(complaints({ volume: [bad] })[0] ?? '', /write it like --volume/);
});

test('a volume with dots in its name is set with a quoted key', () => {
  const config = parseConfig({ volume: ['my.models=memory:'], set: ['volumes."my.models".write=true'] }, HERE);
  assert.equal(config.volumes[0]?.volume.write, true);
});

test('any TOML document is either a configuration or an error of kind config', () => {
  const name = fc.constantFrom(
    'node',
    'doors',
    'keys',
    'volumes',
    'models',
    'origin',
    'name',
    's3',
    '__proto__',
    'constructor',
    'x',
  );
  const value = fc.constantFrom(
    '1',
    '"memory:"',
    'true',
    '[]',
    '{}',
    '1979-05-27',
    '"7TiB"',
    'nan',
    '{ origin = "memory:" }',
  );
  const line = fc.oneof(
    fc
      .tuple(fc.array(name, { minLength: 1, maxLength: 3 }), value)
      .map(([path, text]) => `${path.join('.')} = ${text}`),
    fc.array(name, { minLength: 1, maxLength: 3 }).map((path) => `[${path.join('.')}]`),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 6 }), (lines) => {
      for (const complaint of complaints({ text: lines.join('\n') })) assert.notEqual(complaint, '');
    }),
    { numRuns: 500 },
  );
});

test('a named file must be there, be text and be TOML; without a name a missing one is fine', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'forebay-config-'));
  try {
    const missing = join(directory, 'missing.toml');
    await assert.rejects(loadConfig({ file: missing }, HERE), {
      code: 'config',
      message: `${missing}: cannot be read (ENOENT)`,
    });
    const binary = join(directory, 'binary.toml');
    await writeFile(binary, Buffer.from([0xff, 0xfe, 0x00]));
    await assert.rejects(loadConfig({ file: binary }, HERE), { code: 'config', message: `${binary}: not UTF-8 text` });
    const right = join(directory, 'right.toml');
    await writeFile(right, '[node]\nname = "n1"\n');
    const config = await loadConfig({ file: right }, HERE);
    assert.equal(config.node.name, 'n1');
    assert.equal(config.file, right);
  } finally {
    await rm(directory, { recursive: true });
  }
});

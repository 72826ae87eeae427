/** Candidates that are somebody else's programs: mounts, S3 and RESP servers, and command lines of any kind. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Sink, Source } from '../actor-command.ts';
import type { ConfigOf } from '../evaluation.ts';
import type { ScenarioName } from '../results.ts';
import { BUCKET, type Site, type SiteNode } from '../site.ts';
import { filled } from '../template.ts';
import { type Kind, originPrefix, type Running } from './candidate.ts';
import { Servers, type Variables, variablesOf } from './servers.ts';

interface Paths {
  readonly reads: boolean;
  readonly writes: boolean;
  readonly values: boolean;
}

function lacking({ reads, writes, values }: Paths, scenario: ScenarioName): string | undefined {
  if (scenario === 'fan-out-read') return reads ? undefined : 'it does not read objects of the origin';
  if (scenario === 'fan-out-write') return writes && reads ? undefined : 'it does not write to the origin';
  return values && reads && writes ? undefined : 'what one node puts another does not find in it';
}

/** Every node's variables, and servers that end with the candidate; what `begin` started has ended when it rejects. */
async function opened(
  name: string,
  site: Site,
  begin: (servers: Servers, variables: ReadonlyMap<SiteNode, Variables>) => Promise<void>,
): Promise<{ servers: Servers; of: (node: SiteNode) => Variables }> {
  const variables = new Map<SiteNode, Variables>();
  for (const node of site.nodes) variables.set(node, await variablesOf(site, node, name));
  const servers = new Servers();
  try {
    await begin(servers, variables);
  } catch (error) {
    await servers[Symbol.asyncDispose]();
    throw error;
  }
  return { servers, of: (node) => variables.get(node) as Variables };
}

function running(servers: Servers, ways: { source: Running['source']; sink: Running['sink'] }): Running {
  return {
    ...ways,
    values: ways,
    get complaint() {
      return servers.complaint;
    },
    [Symbol.asyncDispose]: () => servers[Symbol.asyncDispose](),
  };
}

export const posixKind: Kind<ConfigOf<'posix'>> = {
  lacks: lacking,
  async open({ name, mount, path }, site) {
    if (mount !== undefined && !site.mayMount) throw new Error('a mount of its own needs root: run as root');
    const { servers, of } = await opened(name, site, async (started, variables) => {
      if (mount === undefined) return;
      for (const [node, own] of variables) {
        const directory = String(own['mount']);
        mkdirSync(directory, { recursive: true });
        const isMounted = async () => (await node.actor.do({ do: 'isMounted', directory })) as boolean;
        await started.start(node, filled(mount, own), String(own['dir']), isMounted);
      }
    });
    const directory = (node: SiteNode) => filled(path, of(node));
    return running(servers, {
      source: (node): Source => ({ via: 'file', directory: directory(node) }),
      sink: (node): Sink => ({ kind: 'files', directory: directory(node) }),
    });
  },
};

/** Starts a server on every node or on the first one, and gives the `address:port` by which a node reaches it. */
async function served(config: ConfigOf<'s3'> | ConfigOf<'resp'>, site: Site) {
  const { name, start, on, endpoint } = config;
  const serving = on === 'every-node' ? site.nodes : site.nodes.slice(0, 1);
  const { servers, of } = await opened(name, site, async (started, variables) => {
    if (start === undefined) return;
    for (const node of serving) {
      const own = variables.get(node) as Variables;
      const host = filled(endpoint, own);
      const answers = async () => (await node.actor.do({ do: 'knock', host })) as boolean;
      await started.start(node, filled(start, own), String(own['dir']), answers);
    }
  });
  const first = site.nodes[0] as SiteNode;
  return { servers, host: (node: SiteNode) => filled(endpoint, of(on === 'every-node' ? node : first)) };
}

export const s3Kind: Kind<ConfigOf<'s3'>> = {
  lacks: lacking,
  async open(config, site) {
    const { servers, host } = await served(config, site);
    const prefix = originPrefix(BUCKET);
    return running(servers, {
      source: (node): Source => ({ via: 'http', host: host(node), prefix }),
      sink: (node): Sink => ({ kind: 'put', host: host(node), prefix }),
    });
  },
};

export const respKind: Kind<ConfigOf<'resp'>> = {
  lacks: (_, scenario) =>
    scenario === 'fan-in-read' ? undefined : 'it keeps values in memory, and knows no objects of the origin',
  async open(config, site) {
    const { servers, host } = await served(config, site);
    return running(servers, {
      source: (node): Source => ({ via: 'resp', host: host(node), lookup: false }),
      sink: (node): Sink => ({ kind: 'resp', host: host(node) }),
    });
  },
};

export const execKind: Kind<ConfigOf<'exec'>> = {
  lacks: ({ put, get }, scenario) =>
    lacking({ reads: get !== undefined, writes: put !== undefined, values: true }, scenario),
  async open({ name, start, put = '', get = '', warm }, site) {
    const { servers, of } = await opened(name, site, async (started, variables) => {
      if (start === undefined) return;
      for (const [node, own] of variables)
        await started.start(node, filled(start, own), String(own['dir']), () => Promise.resolve(true));
    });
    const line = (node: SiteNode, text: string) => ({
      line: filled(text, of(node)),
      directory: join(String(of(node)['dir']), 'objects'),
    });
    return {
      ...running(servers, {
        source: (node): Source => ({ via: 'shell', ...line(node, get) }),
        sink: (node): Sink => ({ kind: 'shell', ...line(node, put) }),
      }),
      ...(warm !== undefined && {
        warm: async (node, { name: key }) => {
          const own = line(node, warm);
          await node.actor.do({ do: 'run', line: filled(own.line, { key }), directory: own.directory });
        },
      }),
    };
  },
};

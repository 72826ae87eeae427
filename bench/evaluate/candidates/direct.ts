/** The origin without anything before it; and the usual way for checkpoints, a local file that is copied there in the background. */
import { mkdirSync } from 'node:fs';
import type { JobFile } from '../actor-command.ts';
import type { ConfigOf } from '../evaluation.ts';
import { BUCKET, type Site, type SiteNode } from '../site.ts';
import { type Kind, originPrefix, type Running } from './candidate.ts';
import { variablesOf } from './servers.ts';

function running(site: Site): Running {
  const at = { host: site.originAddress, prefix: originPrefix(BUCKET) };
  const source = () => ({ via: 'http', ...at }) as const;
  return {
    source,
    sink: () => ({ kind: 'origin', ...at }),
    values: { source, sink: () => ({ kind: 'put', ...at }) },
    complaint: '',
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

export const originKind: Kind<ConfigOf<'origin'>> = {
  lacks: () => undefined,
  open: (_, site) => Promise.resolve(running(site)),
};

export const asyncCopyKind: Kind<ConfigOf<'async-copy'>> = {
  lacks: (_, scenario) =>
    scenario === 'fan-in-read' ? 'what a node writes is on its own disk until the origin has it' : undefined,
  async open(config, site) {
    const directories = new Map<SiteNode, string>();
    for (const node of site.nodes) {
      const { dir } = await variablesOf(site, node, config.name);
      mkdirSync(String(dir), { recursive: true });
      directories.set(node, String(dir));
    }
    const direct = running(site);
    return {
      ...direct,
      sink: (node) => ({ kind: 'files', directory: directories.get(node) as string }),
      background: (node: SiteNode, files: readonly JobFile[]) =>
        node.actor.do({
          do: 'copy',
          directory: directories.get(node) as string,
          files,
          host: site.originAddress,
          prefix: originPrefix(BUCKET),
        }),
    };
  },
};

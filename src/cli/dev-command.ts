/** `forebay dev`: a cluster on this machine, or one node, with loopback doors that ask for no key. */
import { devNodesMax } from '../core/limits.ts';
import { wrongUse } from './failure.ts';
import type { Output } from './output.ts';
import { type CommonOptions, configOf } from './session.ts';
import { serve } from './up-command.ts';

interface DevOptions extends CommonOptions {
  readonly nodes: string;
  readonly dir?: string;
}

/** Without a volume there is a writable one named `dev`. */
export async function dev(_: readonly string[], options: DevOptions, output: Output): Promise<number> {
  const count = Number(options.nodes);
  if (!(Number.isInteger(count) && count >= 1 && count <= devNodesMax))
    throw wrongUse(`--nodes ${options.nodes}: expected a count from 1 to ${devNodesMax}`);
  const keep = count === 1 && options.dir !== undefined ? [`node.cacheDir=${options.dir}/node-1`] : [];
  const anonymous = { ...options, set: ['doors.anonymous=true', ...keep, ...(options.set ?? [])] };
  const config = await configOf(anonymous);
  if (count > 1) {
    const { runCluster } = await import('./dev-cluster.ts');
    const { set = [], volume = [] } = options;
    return runCluster({ count, config, file: options.config, set, volume, directory: options.dir }, output);
  }
  if (config.volumes.length > 0) return serve(config, output);
  return serve(
    await configOf({ ...anonymous, set: [...anonymous.set, 'volumes.dev.write=true'], volume: ['dev=memory:'] }),
    output,
  );
}

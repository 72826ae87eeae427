/**
 * Hosts behind shaped links on one machine, each with its own rate in both directions, joined by a switch that is never the
 * bottleneck (DESIGN.md section 12). As root the kernel shapes (network namespaces and tbf); else proxies of ours do, at
 * the price of their CPU time. Nothing outlives the bench, not even when it is killed.
 */
import { findTool } from '../tool.ts';
import { KernelLinks } from './kernel-links.ts';
import { UserLinks } from './user-links.ts';

export interface LinkedHostOptions {
  readonly name: string;
  /** Megabits per second, in each direction. */
  readonly mbitPerS: number;
}

export interface LinkedHost {
  readonly name: string;
  /** Servers on this host that others shall reach listen on this address. Loopback is the host's own too. */
  readonly address: string;
  /** The command line that runs a command on this host. */
  commandLine(command: string, args: readonly string[]): readonly [command: string, args: readonly string[]];
  /** To be told of each process started here: shaping in user space tells hosts apart by their processes. */
  adopt(pid: number): void;
  /** `address:port` by which other hosts reach a port of this one. */
  publish(port: number): Promise<string>;
  setRate(mbitPerS: number): Promise<void>;
}

export type Shaping = 'kernel (network namespaces, tbf)' | 'user space (proxies with token buckets)';

export interface Links extends AsyncDisposable {
  readonly shaping: Shaping;
  /** TCP's on every host. */
  readonly congestionControl: string;
  /** In the order they were asked for. */
  readonly hosts: readonly LinkedHost[];
}

const KERNEL_TOOLS = ['ip', 'tc', 'unshare', 'nsenter', 'setpriv'] as const;

/** Why the kernel cannot shape here; undefined when it can. */
export function kernelShapingLacks(): string | undefined {
  if (process.getuid?.() !== 0) return 'root';
  return KERNEL_TOOLS.find((name) => findTool(name) === undefined);
}

/** Rejects when the links cannot be made; what was made by then is gone. */
export async function openLinks(
  hosts: readonly LinkedHostOptions[],
  options: { shaping?: 'kernel' | 'user' } = {},
): Promise<Links> {
  const shaping = options.shaping ?? (kernelShapingLacks() === undefined ? 'kernel' : 'user');
  return shaping === 'kernel' ? KernelLinks.open(hosts) : UserLinks.open(hosts);
}

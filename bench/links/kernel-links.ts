/**
 * Links shaped by the kernel: a network namespace per host and one for the switch, veth pairs between, tbf on both ends
 * (the host's end limits what it sends, the switch's what it gets). The namespaces have no names: each lives as long
 * as a process that holds it, which ends with the bench, so that nothing is left behind, and the machine's own network
 * is never touched.
 */
import { createInterface } from 'node:readline';
import { Child } from '../child.ts';
import type { LinkedHost, LinkedHostOptions, Links, Shaping } from './links.ts';

const PREFIX = '10.77.0';
/**
 * Every candidate's, in every host. A machine's own may be BBR, which paces by timers: on a virtual machine each is an exit to
 * the hypervisor (docs/decisions/0007), and two cores that carry eight nodes are busy with those. New namespaces take the machine's.
 */
const CONGESTION_CONTROL = 'reno';
const CONGESTION_FILE = '/proc/sys/net/ipv4/tcp_congestion_control';
/** The largest packet that segmentation offload hands over is 64 KiB; a bucket below that would have them cut, at a price in CPU. */
const BURST_BYTES = 128 * 1024;
/** What waits before packets are dropped: that of a shallow switch, enough for a full window of many flows. */
const QUEUE_MS = 20;
const QUEUE_MIN_BYTES = 512 * 1024;
const HOSTS_MAX = 200;

const tbf = (mbitPerS: number) => {
  const queueBytes = Math.max(QUEUE_MIN_BYTES, Math.round((mbitPerS * 1e6 * QUEUE_MS) / 8000));
  return `root tbf rate ${Math.round(mbitPerS * 1000)}kbit burst ${BURST_BYTES} limit ${queueBytes}`;
};

/** A namespace, held by a process that ends when our end of its pipe closes. */
class Namespace {
  readonly #holder: Child;

  private constructor(holder: Child) {
    this.#holder = holder;
  }

  static async open(): Promise<Namespace> {
    const script = `ip link set lo up && echo ${CONGESTION_CONTROL} >${CONGESTION_FILE} && echo held && exec cat >/dev/null`;
    const holder = await Child.start('setpriv', ['--pdeathsig', 'KILL', 'unshare', '--net', 'sh', '-c', script], {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    for await (const line of createInterface({ input: holder.process.stdout as NodeJS.ReadableStream }))
      if (line === 'held') return new Namespace(holder);
    await holder.kill();
    throw new Error(`no network namespace can be made: ${holder.complaint.trim()}`);
  }

  get pid(): number {
    return this.#holder.pid;
  }

  /** Processes started so end with the bench, whatever becomes of it. */
  commandLine(command: string, args: readonly string[]): readonly [string, readonly string[]] {
    return ['setpriv', ['--pdeathsig', 'KILL', 'nsenter', `--net=/proc/${this.pid}/ns/net`, '--', command, ...args]];
  }

  async run(tool: 'ip' | 'tc', line: string): Promise<void> {
    const child = await Child.start(...this.commandLine(tool, line.split(' ')));
    const code = await child.ended();
    if (code !== 0) throw new Error(`${tool} ${line}: ${child.complaint.trim()}`);
  }

  async close(): Promise<void> {
    await this.#holder.kill();
  }
}

class NamespacedHost implements LinkedHost {
  readonly name: string;
  readonly address: string;
  readonly #own: Namespace;
  readonly #switch: Namespace;
  readonly #port: string;

  constructor(name: string, options: { address: string; own: Namespace; switch: Namespace; port: string }) {
    this.name = name;
    this.address = options.address;
    this.#own = options.own;
    this.#switch = options.switch;
    this.#port = options.port;
  }

  async connect(mbitPerS: number): Promise<void> {
    const [own, port] = [this.#own, this.#port];
    await this.#switch.run('ip', `link add ${port} type veth peer name eth0 netns ${own.pid}`);
    await this.#switch.run('ip', `link set ${port} master br0 up`);
    await own.run('ip', `address add ${this.address}/24 dev eth0`);
    await own.run('ip', 'link set eth0 up');
    await this.#shape('add', mbitPerS);
  }

  commandLine(command: string, args: readonly string[]): readonly [string, readonly string[]] {
    return this.#own.commandLine(command, args);
  }

  adopt(): void {}

  publish(port: number): Promise<string> {
    return Promise.resolve(`${this.address}:${port}`);
  }

  async setRate(mbitPerS: number): Promise<void> {
    await this.#shape('change', mbitPerS);
  }

  async #shape(verb: 'add' | 'change', mbitPerS: number): Promise<void> {
    await this.#own.run('tc', `qdisc ${verb} dev eth0 ${tbf(mbitPerS)}`);
    await this.#switch.run('tc', `qdisc ${verb} dev ${this.#port} ${tbf(mbitPerS)}`);
  }
}

export class KernelLinks implements Links {
  readonly shaping: Shaping = 'kernel (network namespaces, tbf)';
  readonly congestionControl = CONGESTION_CONTROL;
  readonly hosts: readonly NamespacedHost[];
  readonly #stack: AsyncDisposableStack;

  private constructor(hosts: readonly NamespacedHost[], stack: AsyncDisposableStack) {
    this.hosts = hosts;
    this.#stack = stack;
  }

  static async open(options: readonly LinkedHostOptions[]): Promise<KernelLinks> {
    if (options.length > HOSTS_MAX) throw new RangeError(`at most ${HOSTS_MAX} hosts`);
    await using stack = new AsyncDisposableStack();
    const open = async () => {
      const namespace = await Namespace.open();
      stack.defer(() => namespace.close());
      return namespace;
    };
    const middle = await open();
    await middle.run('ip', 'link add br0 type bridge');
    await middle.run('ip', 'link set br0 up');
    const hosts: NamespacedHost[] = [];
    for (const [index, { name, mbitPerS }] of options.entries()) {
      const address = `${PREFIX}.${index + 1}`;
      const host = new NamespacedHost(name, { address, own: await open(), switch: middle, port: `port${index}` });
      await host.connect(mbitPerS);
      hosts.push(host);
    }
    return new KernelLinks(hosts, stack.move());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

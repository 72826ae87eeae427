/**
 * The origin's server as a process of its own, so that its CPU time is not the bench's nor the daemon's. Run as a file
 * it is the child; imported it is the parent's handle.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { LinkedHost } from './links/links.ts';
import type { OriginFault } from './origin-fault.ts';
import type { OriginRequest } from './origin-log.ts';
import { type GeneratedObject, type OriginOptions, OriginServer } from './origin-server.ts';

type Command =
  | { readonly do: 'listen'; readonly options: OriginOptions; readonly address: string }
  | { readonly do: 'requests' }
  | { readonly do: 'reset' }
  | { readonly do: 'put'; readonly object: GeneratedObject }
  | { readonly do: 'remove'; readonly key: string }
  | { readonly do: 'holds'; readonly objects: readonly GeneratedObject[] }
  | { readonly do: 'fail'; readonly fault: OriginFault };

export class OriginProcess {
  readonly endpoint: string;
  readonly bucket: string;
  readonly pid: number;
  readonly #child: ChildProcess;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(child: ChildProcess, endpoint: string, bucket: string) {
    this.#child = child;
    this.endpoint = endpoint;
    this.bucket = bucket;
    this.pid = child.pid as number;
  }

  /** On this machine, or on a host behind a shaped link, where `endpoint` is how others reach it. */
  static async start(options: OriginOptions, host?: LinkedHost): Promise<OriginProcess> {
    const command = [process.execPath, [import.meta.filename]] as const;
    const [file, args] = host === undefined ? command : host.commandLine(...command);
    const child = spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    await once(child, 'spawn');
    host?.adopt(child.pid as number);
    const own = (await ask(child, { do: 'listen', options, address: host?.address ?? '127.0.0.1' })) as string;
    const endpoint = host === undefined ? own : `http://${await host.publish(Number(new URL(own).port))}`;
    return new OriginProcess(child, endpoint, options.bucket);
  }

  /** Every request since the start or the last reset, in order of their ends. */
  async requests(): Promise<readonly OriginRequest[]> {
    return (await this.#ask({ do: 'requests' })) as readonly OriginRequest[];
  }

  async reset(): Promise<void> {
    await this.#ask({ do: 'reset' });
  }

  async put(object: GeneratedObject): Promise<void> {
    await this.#ask({ do: 'put', object });
  }

  async remove(key: string): Promise<void> {
    await this.#ask({ do: 'remove', key });
  }

  /** Of these objects, which were not written there whole and right. */
  async lacks(objects: readonly GeneratedObject[]): Promise<readonly string[]> {
    return (await this.#ask({ do: 'holds', objects })) as readonly string[];
  }

  async fail(fault: OriginFault): Promise<void> {
    await this.#ask({ do: 'fail', fault });
  }

  /** One after the other, for answers do not say what they answer. */
  #ask(command: Command): Promise<unknown> {
    const answered = this.#last.then(() => ask(this.#child, command));
    this.#last = answered.catch(() => undefined);
    return answered;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}

/** One command at a time; the child answers in order. */
async function ask(child: ChildProcess, command: Command): Promise<unknown> {
  const settled = new AbortController();
  const answer = once(child, 'message', { signal: settled.signal });
  const gone = once(child, 'exit', { signal: settled.signal }).then(() => {
    throw new Error("the origin's server has ended");
  });
  child.send(command);
  try {
    const [message] = (await Promise.race([answer, gone])) as [{ result: unknown }];
    return message.result;
  } finally {
    settled.abort();
  }
}

function serveParent(): void {
  let server: OriginServer | undefined;
  const perform = async (command: Command): Promise<unknown> => {
    if (command.do === 'listen') {
      server = new OriginServer(command.options);
      return server.listen(0, command.address);
    }
    if (command.do === 'requests') return server?.requests;
    if (command.do === 'reset') return server?.reset();
    if (command.do === 'put') return server?.put(command.object);
    if (command.do === 'remove') return server?.remove(command.key);
    if (command.do === 'holds')
      return command.objects.filter((object) => server?.holds(object) !== true).map(({ key }) => key);
    return server?.fail(command.fault);
  };
  process.on('message', (command: Command) => {
    void perform(command).then((result) => process.send?.({ result }));
  });
  process.on('disconnect', () => process.exit());
}

if (process.argv[1] === import.meta.filename) serveParent();

/** The baseline: redis-server as it is installed, without persistence. */
import { mkdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Child, freePort } from '../child.ts';
import type { LinkedHost } from '../links/links.ts';
import { cpuSeconds } from '../process-usage.ts';
import { findTool } from '../tool.ts';

const START_MS = 10_000;
const POLL_MS = 20;
const ATTEMPTS = 3;
const PORT = 6379;

export class RedisServer {
  /** `address:port` on its host. */
  readonly host: string;
  readonly pid: number;
  readonly #child: Child;

  private constructor(child: Child, host: string) {
    this.#child = child;
    this.pid = child.pid;
    this.host = host;
  }

  /** On a host of its own, or on loopback. Rejects when there is none, or it does not start. */
  static async start(directory: string, on?: LinkedHost): Promise<RedisServer> {
    mkdirSync(directory, { recursive: true });
    const tool = findTool('redis-server');
    if (tool === undefined) throw new Error('redis-server is not installed');
    const address = on?.address ?? '127.0.0.1';
    for (let attempt = 1; ; attempt++) {
      const port = address === '127.0.0.1' ? await freePort() : PORT;
      const settings = { bind: address, port, dir: directory, save: '', appendonly: 'no', 'protected-mode': 'no' };
      const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
      const child = await Child.start(...(on?.commandLine(tool, args) ?? ([tool, args] as const)));
      if (await isReady(child)) return new RedisServer(child, `${address}:${port}`);
      await child.kill();
      if (attempt === ATTEMPTS) throw new Error(`redis-server does not start: ${child.complaint}`);
    }
  }

  cpuSeconds(): number {
    return cpuSeconds(this.pid);
  }

  async stop(): Promise<void> {
    await this.#child.kill();
  }
}

/** It says so on its standard output; what it says afterwards is thrown away. */
async function isReady(child: Child): Promise<boolean> {
  let said = '';
  child.process.stdout?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-20_000);
  });
  for (const until = performance.now() + START_MS; performance.now() < until; await sleep(POLL_MS)) {
    if (said.includes('Ready to accept connections')) return true;
    if (child.hasEnded) return false;
  }
  return false;
}

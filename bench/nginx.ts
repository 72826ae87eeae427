/** The baseline: nginx serving the same files from the same disk by sendfile, as its manual sets it up for static files. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Child, freePort } from './child.ts';

const START_MS = 5000;
const ATTEMPTS = 3;

const configuration = (directory: string, root: string, port: number) => `
daemon off;
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes auto;
pid ${directory}/pid;
error_log stderr warn;
events { worker_connections 8192; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  default_type application/octet-stream;
  client_body_temp_path ${directory}/body; proxy_temp_path ${directory}/proxy; fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi; scgi_temp_path ${directory}/scgi;
  server { listen 127.0.0.1:${port} backlog=4096; root ${root}; }
}
`;

async function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('close', () => socket.destroy()).on('connect', () => socket.end());
  });
}

export class Nginx {
  readonly host: string;
  readonly pid: number;
  readonly #child: Child;

  private constructor(child: Child, host: string) {
    this.#child = child;
    this.pid = child.pid;
    this.host = host;
  }

  /** Serves the files below `root`; keeps its own below `directory`. Rejects when there is no nginx, or it does not start. */
  static async start(directory: string, root: string): Promise<Nginx> {
    mkdirSync(directory, { recursive: true });
    for (let attempt = 1; ; attempt++) {
      const port = await freePort();
      const file = join(directory, 'nginx.conf');
      writeFileSync(file, configuration(directory, root, port));
      const child = await Child.start('nginx', ['-p', directory, '-e', 'stderr', '-c', file]);
      const until = performance.now() + START_MS;
      while (!child.hasEnded && performance.now() < until) {
        if (await answers(port)) return new Nginx(child, `127.0.0.1:${port}`);
        await sleep(20);
      }
      await child.kill();
      if (attempt === ATTEMPTS) throw new Error(`nginx does not start: ${child.complaint}`);
    }
  }

  async stop(): Promise<void> {
    await this.#child.stop();
  }
}

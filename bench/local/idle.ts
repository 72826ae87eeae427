/** What a daemon costs that nobody uses, and what 2,000 connections cost that say nothing. */
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Daemon } from '../daemon.ts';
import { OriginProcess } from '../origin-process.ts';
import { figure, shown, single } from '../result.ts';
import { requestHead } from '../sign.ts';
import { bootstrap, difference, interleave, median, ratio } from '../statistics.ts';
import { forebaySide, KEY, type Measurement, MiB, pathOf, startForebay, VOLUME } from './measurement.ts';
import { checkAll, loader, smallObjects, startSmall } from './small.ts';

const STARTS = 5;
/** Long enough for what starts after the first answer, and for a collection of garbage. */
const SETTLE_MS = 3000;
const CONNECTIONS = 2000;
const PAIRS = 8;

export const idle: Measurement = {
  figures: ['idleRssMiB', 'startSeconds'],
  async run(run) {
    const origin = await OriginProcess.start({ bucket: VOLUME });
    const trials: { residentMiB: number; anonymousMiB: number; threads: number; startSeconds: number }[] = [];
    try {
      for (let i = 0; i < STARTS; i++) {
        run.progress.say('idle daemon, start', i + 1, STARTS);
        const daemon = await startForebay(join(run.directory, String(i)), origin);
        await sleep(SETTLE_MS);
        const { residentBytes, anonymousBytes, threads } = daemon.memory();
        await daemon.stop();
        const { startSeconds } = daemon;
        trials.push({ residentMiB: residentBytes / MiB, anonymousMiB: anonymousBytes / MiB, threads, startSeconds });
      }
    } finally {
      await origin.stop();
    }
    const anonymous = shown(median(trials.map((trial) => trial.anonymousMiB)));
    return {
      figures: {
        idleRssMiB: figure(bootstrap(trials.map((trial) => trial.residentMiB)), 'MiB', {
          target: { atMost: 150 },
          beside: `${anonymous} MiB of it not the pages of files; ${trials[0]?.threads} threads`,
        }),
        startSeconds: figure(bootstrap(trials.map((trial) => trial.startSeconds)), 's', { beside: 'an empty cache' }),
      },
      trials: { idle: trials },
    };
  },
};

/** Opens connections that have each been answered once and then say nothing. */
async function openIdle(daemon: Daemon, key: string): Promise<Socket[]> {
  const [address, port] = daemon.s3.split(':') as [string, string];
  const plain = { method: 'HEAD', host: daemon.s3, path: pathOf(key), atMs: Date.now() } as const;
  const head = requestHead(plain, KEY);
  const open = async () => {
    const socket = connect(Number(port), address);
    await new Promise<void>((resolve, reject) => {
      socket.once('data', (answer) => {
        if (answer.toString('latin1', 9, 12) === '200') resolve();
        else reject(new Error(`HEAD: ${answer.toString('latin1', 0, 40)}`));
      });
      socket.once('error', reject).once('close', () => reject(new Error('the daemon closed an idle connection')));
      socket.write(head);
    });
    return socket;
  };
  const sockets: Socket[] = [];
  while (sockets.length < CONNECTIONS) sockets.push(...(await Promise.all(Array.from({ length: 100 }, open))));
  return sockets;
}

export const idleConnections: Measurement = {
  figures: ['idleConnectionsRatio', 'idleConnectionKiB'],
  async run(run) {
    await using stack = new AsyncDisposableStack();
    const objects = smallObjects(100);
    const { daemon } = await startSmall(run.directory, objects, stack);
    const side = forebaySide(daemon);
    await checkAll(side, objects);
    const load = loader(side, objects, run.directory);
    await load();
    const grown: number[] = [];
    const withIdle = async () => {
      const before = daemon.memory().residentBytes;
      const sockets = await openIdle(daemon, objects[0]!.key);
      grown.push((daemon.memory().residentBytes - before) / CONNECTIONS / 1024);
      const { requestsPerS } = await load();
      const lost = sockets.filter((socket) => socket.destroyed).length;
      for (const socket of sockets) socket.destroy();
      if (lost > 0) throw new Error(`${lost} idle connections were cut`);
      return requestsPerS;
    };
    const pairs = await interleave(
      PAIRS,
      { ours: withIdle, baseline: async () => (await load()).requestsPerS },
      (done) => run.progress.say('2,000 idle connections, pair', done, PAIRS),
    );
    const interval = ratio(pairs);
    return {
      figures: {
        idleConnectionsRatio: figure(interval, '', {
          target: { atLeast: 0.9 },
          beside: `GETs/s with 2,000 idle connections ÷ without: ${difference(interval)}`,
        }),
        // later openings reuse what the first one grew
        idleConnectionKiB: single(Math.max(...grown), 'KiB', { beside: 'resident memory per idle connection' }),
      },
      trials: { idleConnections: pairs, idleConnectionKiB: grown },
    };
  },
};

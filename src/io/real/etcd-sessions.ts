/** Sessions as leases of etcd: granted and revoked from here, kept alive by a thread of their own. */
import { Worker } from 'node:worker_threads';
import { ForebayError } from '../../core/errors.ts';
import type { Session } from '../coordinator.ts';
import type { EtcdClient } from './etcd-client.ts';
import { type EtcdAccess, EtcdError } from './etcd-gateway.ts';
import { grantLease } from './etcd-lane.ts';
import type { LeaseWorkerData, ToLeaseWorker } from './etcd-lease-worker.ts';
import { HeldSession } from './held-session.ts';
import type { FfiChoice } from './libc.ts';
import { beat, type RenewalReport } from './renewals.ts';

/** Revoking is a courtesy when it takes long: the lease ends by itself. */
const REVOKE_MS = 2000;

export class EtcdSessions {
  readonly #client: EtcdClient;
  readonly #access: EtcdAccess;
  readonly #ffi: FfiChoice;
  readonly #sessions = new Map<string, HeldSession>();
  readonly #pulse = new SharedArrayBuffer(4);
  #worker: Worker | undefined;

  constructor(options: { client: EtcdClient; access: EtcdAccess; ffi: FfiChoice }) {
    this.#client = options.client;
    this.#access = options.access;
    this.#ffi = options.ffi;
  }

  #started(): Worker {
    if (this.#worker) return this.#worker;
    const data: LeaseWorkerData = { access: this.#access, ffi: this.#ffi, pulse: this.#pulse };
    const worker = new Worker(new URL('./etcd-lease-worker.ts', import.meta.url), {
      name: 'lease',
      workerData: data,
      // Not the flags of the process: some are refused by threads.
      execArgv: ['--disable-warning=ExperimentalWarning'],
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    });
    worker.on('message', (report: RenewalReport) => {
      if ('renewed' in report) this.#sessions.get(report.renewed)?.confirm(report.sentMs);
      else this.#sessions.get(report.lost)?.end(report.why);
    });
    worker.on('error', (error: Error) => this.endAll(`the thread that renews it is gone: ${error.message}`));
    // The next session gets a new thread.
    worker.on('exit', () => {
      if (this.#worker === worker) this.#worker = undefined;
    });
    worker.unref();
    this.#worker = worker;
    return worker;
  }

  #tell(message: ToLeaseWorker): void {
    this.#worker?.postMessage(message);
  }

  async begin(ttlMs: number): Promise<Session> {
    const { clock } = this.#client;
    const ttlS = Math.ceil(ttlMs / 1000);
    const sentMs = clock.boottimeMs();
    const id = await grantLease(this.#client, ttlS);
    if (this.#client.refusal) throw this.#client.refusal;
    const stop = beat(this.#pulse, ttlMs);
    const session = new HeldSession({ id, ttlMs, sentMs }, { clock, onClose: () => this.#revoke(id) });
    const forget = () => {
      stop();
      this.#sessions.delete(id);
      this.#tell({ forget: id });
    };
    session.lost.addEventListener('abort', forget, { once: true });
    this.#sessions.set(id, session);
    this.#started();
    this.#tell({ keep: id, ttlMs, sentMs });
    return session;
  }

  async #revoke(id: string): Promise<void> {
    await revokeLease(this.#client, id);
  }

  endAll(why: string): void {
    for (const session of Array.from(this.#sessions.values())) session.end(why);
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#sessions.values()].map((session) => session.close()));
    const worker = this.#worker;
    this.#tell('close');
    await worker?.terminate();
  }
}

/** Ends a lease and its keys; one that is gone already is fine. */
export async function revokeLease(client: EtcdClient, id: string): Promise<void> {
  try {
    await client.persist(async (signal) => await client.gateway.attempt('/v3/lease/revoke', { ID: id }, { signal }), {
      deadlineMs: REVOKE_MS,
    });
  } catch (error) {
    if (error instanceof EtcdError && /lease not found/.test(error.message)) return;
    throw error instanceof EtcdError
      ? new ForebayError('coordinatorUnavailable', error.message, { cause: error })
      : error;
  }
}

/** The thread that keeps leases of etcd alive, over a connection of its own, while the main loop turns. */
import { parentPort, workerData } from 'node:worker_threads';
import { coordinatorAttemptMs } from '../../core/limits.ts';
import { createRealClock } from './clock.ts';
import { type EtcdAccess, EtcdGateway, isTransient } from './etcd-gateway.ts';
import type { FfiChoice } from './libc.ts';
import { Renewals } from './renewals.ts';

export interface LeaseWorkerData {
  readonly access: EtcdAccess;
  readonly ffi: FfiChoice;
  /** The main loop beats here. */
  readonly pulse: SharedArrayBuffer;
}

export type ToLeaseWorker =
  | { readonly keep: string; readonly ttlMs: number; readonly sentMs: number }
  | { readonly forget: string }
  | 'close';

interface KeepAlive {
  readonly result?: { readonly TTL?: string };
  readonly error?: unknown;
}

function run(port: NonNullable<typeof parentPort>): void {
  const { access, ffi, pulse } = workerData as LeaseWorkerData;
  const gateway = new EtcdGateway(access);
  const renew = async (id: string): Promise<boolean | undefined> => {
    const endpoint = gateway.endpoint;
    try {
      const options = { attemptMs: coordinatorAttemptMs };
      const { result } = await gateway.attempt<KeepAlive>('/v3/lease/keepalive', { ID: id }, options);
      // No time to live: the lease is gone. No result at all: some trouble of the server's.
      return result && Number(result.TTL ?? 0) > 0;
    } catch (error) {
      if (isTransient(error)) gateway.turnFrom(endpoint);
      return undefined;
    }
  };
  const renewals = new Renewals({
    pulse,
    clock: createRealClock({ ffi }),
    renew,
    report: (report) => port.postMessage(report),
  });
  port.on('message', (message: ToLeaseWorker) => {
    if (message === 'close') {
      renewals.close();
      gateway.close();
      port.close();
    } else if ('keep' in message) {
      renewals.keep({ id: message.keep, ttlMs: message.ttlMs, sentMs: message.sentMs });
    } else {
      renewals.forget(message.forget);
    }
  });
}

if (parentPort) run(parentPort);

/**
 * One node's end of the simulated network: `PeerTransport` of src/io/peers.ts. What a dead life asks is never answered,
 * and what reaches a paused one waits.
 */
import { blockCount } from '../src/core/chunk.ts';
import { abortReason, ForebayError } from '../src/core/errors.ts';
import type { Json, PeerEndpoint, PeerMessage, PeerOptions, PeerTransport, Pull } from '../src/io/peers.ts';
import { writeBounded } from '../src/io/real/peer-json.ts';
import { SimCall } from './sim-call.ts';
import type { Life } from './sim-clock.ts';
import type { Listener, SimHost, SimNetwork } from './sim-network.ts';
import { SimPull } from './sim-pull.ts';

export function listenSimulated(
  network: SimNetwork,
  place: { readonly host: SimHost; readonly life: Life },
  options: PeerOptions,
): Promise<PeerTransport> {
  const listener = network.listen(place, options);
  if (listener) return Promise.resolve(new SimPeers(network, listener));
  const taken = new Error(`listen EADDRINUSE: address already in use ${place.host.name}:${options.address.port}`);
  return Promise.reject(Object.assign(taken, { code: 'EADDRINUSE' }));
}

class SimPeers implements PeerTransport {
  readonly address: { readonly host: string; readonly port: number };
  readonly #network: SimNetwork;
  readonly #listener: Listener;

  constructor(network: SimNetwork, listener: Listener) {
    this.#network = network;
    this.#listener = listener;
    this.address = { host: listener.host.name, port: listener.port };
  }

  async call(
    to: PeerEndpoint,
    message: PeerMessage,
    options: { deadlineMs: number; signal?: AbortSignal },
  ): Promise<Json> {
    const text = writeBounded(message).toString();
    return (
      this.#refusal<Json>(options.signal) ??
      new SimCall(this.#network, { asker: this.#listener, to, ...options }, text).answer
    );
  }

  async pull(pull: Pull): Promise<void> {
    const { first, count, sizeBytes } = pull;
    if (!(count > 0 && first >= 0 && first + count <= blockCount(sizeBytes)))
      throw new ForebayError('invalidRequest', `a pull of blocks ${first}…${first + count} of ${sizeBytes} bytes`);
    return this.#refusal<void>(pull.signal) ?? new SimPull(this.#network, this.#listener, pull).done;
  }

  /** Nothing reaches the service any more; what is under way is cut off. */
  close(): Promise<void> {
    if (this.#listener.isOpen) {
      this.#listener.isOpen = false;
      this.#network.breakOff(this.#listener, true);
    }
    return Promise.resolve();
  }

  /** There are no pooled connections to forget. */
  forget(_node: string): void {}

  #refusal<T>(signal: AbortSignal | undefined): Promise<T> | undefined {
    if (!this.#listener.life.alive) return new Promise(() => {});
    if (signal?.aborted) return Promise.reject(abortReason(signal));
    if (this.#listener.isOpen) return undefined;
    return Promise.reject(new ForebayError('shuttingDown', 'this node is stopping'));
  }
}

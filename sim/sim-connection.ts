/** What calls and pulls on the simulated network have in common: who may ask whom, and how errors travel. */
import { ForebayError } from '../src/core/errors.ts';
import type { PeerEndpoint } from '../src/io/peers.ts';
import { arrived, peerError, travelling } from '../src/io/real/peer-json.ts';
import type { Listener, SimHost, SimNetwork } from './sim-network.ts';

/** An error as the asker gets it from `node`. */
export function carriedError(node: string, error: unknown): ForebayError {
  return peerError(node, arrived(JSON.parse(JSON.stringify(travelling(error)))));
}

/** Why a listener turns away who asks for `to`; `undefined` when it does not. */
function refusal(listener: Listener, asker: Listener, to: PeerEndpoint): string | undefined {
  const { options } = listener;
  if (options.cluster !== asker.options.cluster) return 'otherCluster';
  const signing = asker.options.secrets()[0];
  const isKnown = options.secrets().some((secret) => signing !== undefined && Buffer.compare(secret, signing) === 0);
  if (!isKnown) return 'secret';
  return options.node === to.node ? undefined : 'otherNode';
}

/** A request reaches a host: goes on with who takes it, in their process; or with why nobody does. */
export function knock(
  network: SimNetwork,
  request: { readonly asker: Listener; readonly to: PeerEndpoint; readonly host: SimHost },
  on: { taken(listener: Listener): void; refused(error: ForebayError): void },
): void {
  const { asker, to, host } = request;
  if (host.isSilent) return;
  const listener = network.listenerAt(to.address);
  if (!listener) {
    on.refused(new ForebayError('peerUnreachable', `${to.node}: connection refused`));
    return;
  }
  const reason = refusal(listener, asker, to);
  if (reason === undefined) {
    network.clock.schedule(0, () => on.taken(listener), listener.life);
    return;
  }
  listener.options.onRefused(reason);
  on.refused(new ForebayError('peerRefused', `${to.node} refuses this node: ${reason}`));
}

/**
 * One control message and its answer on the simulated network. They cross as JSON text, so that nothing is shared by
 * reference. The service may get the call twice, after the asker gave up, or not at all; the asker gets the first answer.
 */
import { abortReason, ForebayError } from '../src/core/errors.ts';
import type { Json, PeerEndpoint, PeerMessage } from '../src/io/peers.ts';
import { writeBounded } from '../src/io/real/peer-json.ts';
import { carriedError, knock } from './sim-connection.ts';
import type { Exchange, Listener, SimHost, SimNetwork } from './sim-network.ts';

/** A machine without power says nothing: its connections are given up after this long without a sign. */
const KEEP_ALIVE_MS = 30_000;

interface CallMade {
  readonly asker: Listener;
  readonly to: PeerEndpoint;
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
}

export class SimCall implements Exchange {
  readonly answer: Promise<Json>;
  readonly #network: SimNetwork;
  readonly #made: CallMade;
  readonly #text: string;
  readonly #settled = Promise.withResolvers<Json>();
  readonly #deadline: { run: (() => void) | undefined };
  /** Copies that services work on, and what tells them that the asker is gone. */
  readonly #serving = new Map<AbortController, Listener>();
  #isSettled = false;
  readonly #aborted = () => this.#fail(abortReason(this.#made.signal as AbortSignal));

  /** `text`: the message as it travels. */
  constructor(network: SimNetwork, made: CallMade, text: string) {
    this.#network = network;
    this.#made = made;
    this.#text = text;
    this.answer = this.#settled.promise;
    const { asker, to, deadlineMs, signal } = made;
    network.trace.note(`net call ${asker.options.node} ${to.node} ${this.#text}`);
    network.begin(this);
    const late = () => this.#fail(new ForebayError('peerTimeout', `${to.node}: no answer within ${deadlineMs} ms`));
    this.#deadline = network.clock.schedule(deadlineMs, late, asker.life);
    signal?.addEventListener('abort', this.#aborted, { once: true });
    const host = network.host(to.address.host);
    if (host) this.#send(host);
    else network.clock.schedule(1, () => this.#fail(this.#unreachable('there is no such host')), asker.life);
  }

  has(end: Listener): boolean {
    return (!this.#isSettled && end === this.#made.asker) || [...this.#serving.values()].includes(end);
  }

  broken(end: Listener, told: boolean): void {
    const { asker } = this.#made;
    if (end === asker) {
      if (asker.life.alive) this.#fail(new ForebayError('shuttingDown', 'this node is stopping'));
      this.#isSettled = true;
      this.#hangUp(told ? this.#network.faults.latencyMs : KEEP_ALIVE_MS);
      this.#endIfOver();
      return;
    }
    for (const [gone, listener] of this.#serving) {
      if (listener !== end) continue;
      this.#serving.delete(gone);
      if (end.life.alive) gone.abort(new ForebayError('peerUnreachable', 'the transport was closed'));
    }
    if (told) this.#reply(end.host, () => this.#fail(this.#unreachable('the connection was reset')));
    this.#endIfOver();
  }

  #send(host: SimHost): void {
    const { asker, to } = this.#made;
    const reset = () => this.#atHome(() => this.#fail(this.#unreachable('the connection was reset')));
    const arrive = () =>
      knock(
        this.#network,
        { asker, to, host },
        {
          taken: (listener) => void this.#serve(listener),
          refused: (error) => this.#reply(host, () => this.#fail(error)),
        },
      );
    this.#network.carry({ from: asker.host, to: host }, { arrive, lost: reset, duplicable: true });
  }

  /** A copy of the call reaches the service. */
  async #serve(listener: Listener): Promise<void> {
    const { node } = this.#made.asker.options;
    const gone = new AbortController();
    this.#network.calls++;
    this.#network.begin(this);
    this.#serving.set(gone, listener);
    let reply: string | ForebayError;
    try {
      const json = await listener.options.service.call(node, JSON.parse(this.#text) as PeerMessage, gone.signal);
      reply = writeBounded(this.#tampered(json)).toString();
    } catch (error) {
      reply = carriedError(listener.options.node, error);
    }
    if (!listener.life.alive || !this.#serving.delete(gone)) return;
    this.#network.trace.note(
      `net answer ${listener.options.node} ${node} ${typeof reply === 'string' ? reply : reply.code}`,
    );
    if (typeof reply === 'string') this.#observe(listener, reply);
    this.#reply(listener.host, () => {
      if (typeof reply === 'string') this.#settle(() => this.#settled.resolve(JSON.parse(reply) as Json));
      else this.#fail(reply);
    });
    this.#endIfOver();
  }

  #tampered(json: Json): Json {
    const { tamper } = this.#network;
    return tamper ? tamper((JSON.parse(this.#text) as PeerMessage).type, json) : json;
  }

  #observe(listener: Listener, answer: string): void {
    const { onAnswer } = this.#network;
    if (!onAnswer) return;
    const { type } = JSON.parse(this.#text) as PeerMessage;
    onAnswer({ from: this.#made.asker.options.node, to: listener.options.node, type, message: this.#text, answer });
  }

  /** Carries an answer to the asker, if it gets there. */
  #reply(from: SimHost, then: () => void): void {
    const reset = () => this.#fail(this.#unreachable('the connection was reset'));
    const home = { arrive: () => this.#atHome(then), lost: () => this.#atHome(reset) };
    this.#network.carry({ from, to: this.#made.asker.host }, home);
  }

  /** Goes on in the asker's process, when that runs. */
  #atHome(then: () => void): void {
    this.#network.clock.schedule(0, then, this.#made.asker.life);
  }

  #unreachable(why: string): ForebayError {
    return new ForebayError('peerUnreachable', `${this.#made.to.node}: ${why}`);
  }

  #fail(error: Error): void {
    this.#settle(() => this.#settled.reject(error));
  }

  #settle(how: () => void): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#deadline.run = undefined;
    this.#made.signal?.removeEventListener('abort', this.#aborted);
    how();
    this.#hangUp(this.#network.faults.latencyMs);
    this.#endIfOver();
  }

  #endIfOver(): void {
    if (this.#isSettled && this.#serving.size === 0) this.#network.end(this);
  }

  /** The asker's end is closed: services that still work for it hear of it. */
  #hangUp(afterMs: number): void {
    const { clock, random } = this.#network;
    for (const [gone, listener] of this.#serving) {
      const tell = () => gone.abort(new ForebayError('peerUnreachable', 'the asker is gone'));
      clock.schedule(afterMs + random.exponential(afterMs), tell, listener.life);
    }
  }
}

/** What is varied of simulated gathers. */
export interface FanInParameters {
  readonly nodes: number;
  /** Of them, that gather at the same time, each values of its own. */
  readonly readers: number;
  readonly values: number;
  readonly valueBytes: number;
  /** Of a reader's values all lie on so many nodes, evenly; at most `nodes − 1`. */
  readonly holders: number;
  readonly linkBytesPerS: number;
  /** Of a message, one way. */
  readonly latencyMs: number;
  /** Nodes with a tenth of the bandwidth, and nodes that died just now: nobody knows yet. None of them reads. */
  readonly slow: number;
  readonly dead: number;
  /** How long a peer that does not answer is waited for. */
  readonly peerMs: number;
  readonly seed: number;
}

/** What an agent is told and answers: the bench's hands on a host, whose network the bench itself is not in. */

/** CLOCK_MONOTONIC in milliseconds: one clock for all processes of this machine. */
export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;

export type AgentCommand =
  /** Serves endless bytes on a port of this address to whoever connects; answers with the port. */
  | { readonly do: 'source'; readonly address: string }
  /** Receives from a source for this long; answers with Received. */
  | { readonly do: 'receive'; readonly from: string; readonly forMs: number }
  /** One streaming GET; answers with Done. */
  | { readonly do: 'read'; readonly host: string; readonly path: string; readonly sizeBytes: number }
  /** Brings an object to the node whose admin door is named; answers with Done. */
  | { readonly do: 'warm'; readonly admin: string; readonly body: Readonly<Record<string, unknown>> }
  /** A request with a JSON body, or a GET without; answers with the text. */
  | { readonly do: 'ask'; readonly url: string; readonly body?: unknown }
  /** Serves as a BitTorrent tracker that knows these peers from the start; answers with the port. */
  | { readonly do: 'track'; readonly address: string; readonly peers: readonly string[] }
  /** Starts the one download of an aria2 that waits, and watches it to its end; answers with Done. */
  | { readonly do: 'torrent'; readonly rpc: string };

export interface Received {
  readonly bytes: number;
  /** From the first byte. */
  readonly ms: number;
}

/** `[milliseconds of CLOCK_MONOTONIC, bytes so far]`. */
export type Sample = readonly [number, number];

export interface Done {
  readonly fromMs: number;
  readonly toMs: number;
  readonly samples: readonly Sample[];
  /** Of the bytes that were read; absent where another read has to prove them. */
  readonly sha256?: string;
}

/** The bounds of kv volumes and of the RESP door by name, each with its reason; as `limits.ts`, which has the others. */
import { KiB, MiB } from './limits.ts';

/** A value of a kv volume: the bound of a bulk string in RESP. */
export const valueMaxBytes = 512 * MiB;
/** How long a lookup promises what it found, where it names no time, and the most that it may name. */
export const kvLeaseMs = 10_000;
export const kvLeaseMaxMs = 600_000;
/** Keys of one lookup, gather or page over HTTP, and the JSON that names them, percent-encoded. */
export const kvKeysMax = 4096;
export const kvBodyMaxBytes = 16 * MiB;

/** How long a put waits for its key's owner to hear of it; then it is acknowledged, and a lookup elsewhere may miss it. */
export const kvTellMs = 50;
/** An answer of a peer about keys: one that takes longer counts as "not there". */
export const kvPeerMs = 250;
/** Keys, and bytes of them, in one message between nodes. */
export const kvMessageKeysMax = 512;
export const kvMessageKeyBytes = 256 * KiB;
/** A value up to this travels inside a message, all of one answer up to that. */
export const kvInlineMaxBytes = 64 * KiB;
export const kvInlineAnswerMaxBytes = 1 * MiB;
/** Keys of one volume whose holders an owner remembers (about 60 bytes each); more are misses elsewhere than at their holder. */
export const kvDirectoryKeysMax = 1 << 22;
/** Puts of "only where nothing is" that an owner lets run at once, and how long one may take. */
export const kvClaimsMax = 65_536;
export const kvClaimMs = 60_000;
/** Versions that holders are still to be told to drop; more are forgotten, and stay where they are until evicted. */
export const kvDropsMax = 65_536;
/** Leases of other nodes that an asker remembers, and what went by itself that its owner was not yet told. */
export const kvLeasesKeptMax = 65_536;
export const kvUntoldMax = 262_144;
/** Between two attempts to tell an owner, and to get a promised value of a holder that is busy. */
export const kvRetryMs = 200;
/** The first wait for a holder whose uploads are all taken; doubled each time, up to `kvRetryMs`. */
export const kvBusyMs = 10;
/** Blocks of one remote value on their way or waiting for their reader. */
export const kvPullBlocksMax = 8;
/** Blocks of values that are brought before their turn comes, of all gathers of this node. */
export const kvPrefetchBlocksMax = 128;
/** Keys that are looked at in one turn when owners are told anew. */
export const kvScanKeys = 2048;
/** Values that clients dropped are remembered so, while somebody may hold a lease of them. */
export const kvDroppedKeptMax = 16_384;
/**
 * RESP door: values above this are stored as they arrive; smaller ones are collected first, and put at once. As much as is packed: no file has to be
 * made for them. While half of `respInputMaxBytes` is taken the lower bound holds.
 */
export const respWholeMaxBytes = 256 * KiB;
export const respWholeBusyMaxBytes = 64 * KiB;
/** RESP door: an argument that is no value, and a request on one line: Redis's own bound on such lines. */
export const respArgumentMaxBytes = 64 * KiB;
/** RESP door: the arguments of one request, and their bytes; values beyond these bytes are stored as they arrive. */
export const respArgumentsMax = 131_072;
export const respRequestMaxBytes = 8 * MiB;
/** RESP door: bytes of requests that are not complete, of all connections; the connection that goes beyond is cut off. */
export const respInputMaxBytes = 128 * MiB;
/** RESP door: requests of one connection under way at once; their answers leave in order. */
export const respPipelineMax = 32;
/** RESP door: values that arrive piece by piece at once, and bytes of each that wait for the disk. */
export const respBodiesMax = 64;
export const respBodyAheadBytes = 1 * MiB;
/** RESP door: places that scans have stopped at and that a client may go on from; the longest unused goes first. */
export const respScansMax = 10_000;
/** A key of a value, in bytes. */
export const valueKeyMaxBytes = 1024;
/** A value up to this lies in packs, many in one file, and may be kept in memory; above it has a file of its own. */
export const valuePackedMaxBytes = 256 * KiB;
/** Bytes of small values that wait to be written before puts wait for the disk. */
export const valueBacklogMaxBytes = 8 * MiB;
/** Blocks of one large value on their way to the disk, and of all. */
export const valueBlocksInFlightMax = 4;
export const valueBlocksMax = 64;
/** A volume whose values are all leased or open is not looked through again for so long. */
export const valueFullMemoryMs = 50;
/** How often values past their time are looked for, and rows looked at in one go. */
export const valueSweepMs = 1000;
export const valueSweepRowsMax = 65_536;
/** Memory counted for a key of a kv volume: twice what its rows take with a key of 80 bytes, which leaves room for longer ones. */
export const keyMemoryBytes = 640;

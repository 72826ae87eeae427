/**
 * Every bound of the system by name, with its reason. A queue, cache, retry, timeout or buffer that is not here does not
 * exist (STYLE.md rule 7).
 */
export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;

/** S3's own bound on keys, in bytes of UTF-8. */
export const keyMaxBytes = 1024;
/** Contents below this are packed, not a file each: an inode and a block per object would cost more than the object. */
export const smallContentMaxBytes = 32 * KiB;
/** Objects up to this go to the origin in one request and are held whole, so that the request can be repeated. */
export const putSingleMaxBytes = 16 * MiB;
/** S3's bound on one PUT. */
export const putMaxBytes = 5 * GiB;
/** S3's least size of a part but the last. */
export const partMinBytes = 5 * MiB;
export const partMaxBytes = 5 * GiB;
export const partsMax = 10_000;

/** One request's headers, with its request line: twice AWS's own bound on signed headers and metadata. */
export const requestHeadMaxBytes = 32 * KiB;
/** A request's XML: 1,000 keys of 1,024 bytes, escaped, fit. */
export const requestXmlMaxBytes = 4 * MiB;
/** The line that begins a chunk of an aws-chunked body, and the headers that trail such a body. */
export const chunkLineMaxBytes = 256;
export const trailerMaxBytes = 8 * KiB;
/** S3's bound on the names and values of a user's metadata. */
export const metadataMaxBytes = 2 * KiB;
/** Deletes of one batch under way at once. */
export const deletesInFlightMax = 16;
/** An answer that takes longer than this begins with blanks, one more each time, so that nobody hangs up. */
export const slowAnswerMs = 10_000;
/** Keys in a batch delete, keys in a page of a listing: S3's own. */
export const deleteKeysMax = 1000;
export const listKeysMax = 1000;
/** Ranges are answered one per request; several in one header answer the whole object, as S3 does. */
export const connectionsMax = 16_384;
/** A client that neither reads nor writes for this long is cut off. */
export const clientIdleMs = 60_000;
export const keepAliveIdleMs = 75_000;
/** How often doors look for clients past these. */
export const sweepEveryMs = 5000;
/** Of a body that nobody wants, this much is read and thrown away, so that its sender gets to see the answer. */
export const discardMaxBytes = 1 * MiB;
/** An answer that left a body unread waits this long without bytes before it closes the connection. */
export const lingerMs = 2000;
/** A door that closes lets requests under way finish for this long. */
export const doorCloseMs = 5000;
/** Signature times may differ from ours by this (AWS's own). */
export const signatureSkewMs = 15 * 60_000;
export const presignedMaxS = 7 * 24 * 3600;
/** Derived signing keys kept: one per access key, day and region in use. */
export const signingKeysMax = 256;

/** A disk operation that takes longer than this ejects the disk until an operation completes again. */
export const diskDeadlineMs = 3000;
/** Threads of one disk: one may hang while others serve, and a disk gains little from more. */
export const diskWorkersMax = 4;
/** Requests that wait for a disk's threads; more fail with EAGAIN. */
export const diskQueueMax = 4096;
/** Open data files kept per node. */
export const openFilesMax = 1024;

/** Origin attempts in all, with full-jitter backoff between them. */
export const originAttemptsMax = 6;
export const originBackoffBaseMs = 100;
export const originBackoffMaxMs = 10_000;
/** No byte for this long, and an origin request counts as failed. */
export const originIdleMs = 30_000;
/** A connection to an origin that is not there after this counts as failed. */
export const connectTimeoutMs = 10_000;
/** Connections to one origin. */
export const originSocketsMax = 128;
/** Bytes of one origin answer that wait for their reader before the socket is paused. */
export const receiveBufferMaxBytes = 512 * KiB;
/** Bodies up to this that can be sent again go to an HTTP store in one buffer, whose checksum is signed. */
export const sendWholeMaxBytes = 64 * MiB;
/** Continuation markers kept per Azure origin, so that paging through a listing need not start over. */
export const listMarkersMax = 1024;
/** Blocks of one Azure part: with 10,000 parts they stay below Azure's 50,000 blocks, and 5 GiB below its 4,000 MiB a block. */
export const azureBlocksPerPartMax = 5;
export const azureBlockBytes = 64 * MiB;
/** With a remembered fact at hand, how long a revalidation may take before the fact is served as stale. */
export const revalidateDeadlineMs = 2000;
/** After a failed revalidation, how long the origin counts as away before it is asked again. */
export const originAwayMs = 1000;
/** How long a read waits for its record, and how long the coordinator then counts as away. */
export const recordReadDeadlineMs = 2000;
export const recordsAwayMs = 1000;
/** Records that a listing reads at once: they are laid over the origin's pages of the same keys. */
export const recordsPerWindowMax = 1000;
/** How often replicas are gone through for bytes that the origin does not have, each time by the newest record. */
export const replicaRoundsMax = 6;
/** How long the directory is waited for before bytes that the origin does not have are asked of the replicas themselves. */
export const dirtyLocateMs = 250;
/** How long replicas that are busy are left alone before they are asked again, at first; twice as long each time. */
export const replicaBusyMs = 100;
/** Fills under way at once; each holds at most `fillBuffersMax` blocks in memory. */
export const fillsInFlightMax = 16;
export const fillBuffersMax = 2;
/** Chunks that read-ahead may run in front of a sequential reader. */
export const readAheadChunksMax = 8;
/** How often a block that was filled and evicted before it was read is filled again, until the reader goes round the store. */
export const refillsPerBlockMax = 2;
/** Reads round the store at once. */
export const bypassesMax = 64;
/** Objects that one warm brings at once. */
export const warmObjectsMax = 4;
/** How often a warm says how far it is. */
export const warmProgressMs = 250;
/** Whole-version restarts of a read that has sent nothing yet, when the origin's version changes under it. */
export const reopenMax = 3;

/** Remembered absences, and how long one counts in a volume with `revalidate = "never"`. */
export const absencesMax = 10_000;
export const absenceNeverMs = 1000;
/** Remembered pages of listings, and how long one counts in a volume with `revalidate = "never"`. */
export const listingsMax = 256;
export const listingNeverMs = 60_000;

/** Memory of bodies on their way to origins. Small ones have a share of their own, so that slow large ones do not hold them up. */
export const writeMemoryMaxBytes = 256 * MiB;
export const writeSmallMaxBytes = 1 * MiB;
export const writeSmallMemoryMaxBytes = 32 * MiB;
/** Parts of one large write sent to the origin at once. */
export const partsInFlightMax = 4;
/** Uploads under way, and those remembered as completed so that a completion can be repeated. */
export const uploadsMax = 10_000;
/** How long a completed upload is remembered. */
export const uploadKeepMs = 3600_000;
/** How often idle uploads are looked for. */
export const uploadSweepMs = 600_000;
/** Idle multipart uploads are aborted after this. */
export const uploadIdleMaxMs = 24 * 3600_000;
/** Space for bytes that are being written is reserved this much at a time where their length is not known, less on a small disk. */
export const stagedReserveBytes = 1 * GiB;
/** How long a write waits for room on the disk before it fails with diskFull, and how often it looks. */
export const stagedWaitMs = 30_000;
export const stagedRetryMs = 250;
/** Share of the capacity that only the oldest write under way may take, so that of many one at a time ends. */
export const stagedOldestShare = 1 / 16;
/** Contents being written at once. */
export const stagedContentsMax = 16_384;
/** Bytes written before the kernel is asked to begin writing them to the disk: the final sync then has little to wait for. */
export const writebackBytes = 8 * MiB;
/** A copy of another node's write waits for so long for this node's own syncs. */
export const copySyncWaitMs = 500;
/** Files of one adopted directory taken over at once, and directories adopted at once. */
export const adoptsInFlightMax = 8;
export const adoptionsMax = 16;
/** After it was closed a file waits this long, for many are renamed at once. */
export const adoptSettleMs = 50;
/** A file that nobody is seen to close counts as finished when it did not change for this long. */
export const adoptQuietMs = 2000;
/** How often the whole directory is looked at: where nothing tells of changes, and where something does. */
export const adoptPollMs = 1000;
export const adoptRescanMs = 60_000;
/** Waiting times before a file that could not be taken over is tried again. */
export const adoptRetryMinMs = 500;
export const adoptRetryMaxMs = 30_000;
/** Files known of one adopted directory, and failures told of. */
export const adoptFilesMax = 200_000;
export const adoptFailuresShownMax = 20;
/** How often progress is told. */
export const adoptProgressMs = 500;
/** Data without a journal record waits this long before it is deleted. */
export const orphanKeepMs = 24 * 3600_000;

/** Pulls from peers under way at once: twice the links of a broadcast, so that readers beside it are served. */
export const pullsMax = 16;
/** Uploads to peers at once: a full mesh of nine asks for eight, and readers beside it. More are refused, for others have the bytes too. */
export const peerUploadsMax = 32;
/** No byte from a peer for this long, and a pull counts as failed and another holder is asked. */
export const peerIdleMs = 5000;
/** How long a message from a later membership epoch waits for this node to hear of that epoch: news of it is on its way. */
export const epochPatienceMs = 1000;
/** An answer to a control message between peers. */
export const peerCallMs = 3000;
/** How often a member that does not accept this node's secret is asked again. */
export const estrangedProbeMs = 5000;
/** Things told to a peer in one message. */
export const outboxBatchMax = 512;
/** How long a chunk's owner may be unreachable before the origin is asked without its leave (counted as a refill). */
export const ownerPatienceMs = 2000;
/** A node that lets a question wait for this long is asked whether it is there, and again every so often; it answers within that. */
export const helloAfterMs = 250;
export const helloAgainMs = 2000;
export const helloMs = 1000;
/** A node that did not say hello is asked again so often, while there are questions for it. */
export const helloEveryMs = 1000;
/** A silence that nobody asked about for this long says nothing any more. */
export const helloMemoryMs = 5000;
/** For how long a node stands in for an owner that does not answer; then it asks anew what the members hold. */
export const deputyMs = 30_000;
/** Between two attempts to reach an owner. */
export const ownerRetryMs = 100;
/** How often an owner looks for leases that have timed out. */
export const directoryTickMs = 500;
/** A question for an object's version, to its owner, who may have to ask the origin first. */
export const headCallMs = 15_000;
/** How long a write waits for its owner to hear of it: a lease, the change of members after it, and some. */
export const writtenPatienceMs = 15_000;
/** How often a broadcast is looked after when nothing is due before. */
export const broadcastTickMs = 250;
/** A broadcast whose dealer cannot be reached for this long is given up; the directory brings the rest. */
export const broadcastDeathMs = 1000;
/** Warms that run here for other nodes, and how long one goes on that nobody asks about. */
export const remoteWarmsMax = 64;
export const warmSilenceMs = 10_000;
/** How often the owner of a chunk hears that its pull or fill goes on; leases are several times that. */
export const goingEveryMs = 4000;
/** Chunks of an object that `explain` asks the owners about. */
export const explainChunksMax = 1024;
/** Members asked to reach an origin for a node that cannot, one after another, and what one brings for others at once. */
export const detourPeersMax = 8;
export const detoursServedMax = 64;
/** How often a chunk that nobody holds is asked for in this way, until its readers hear that the origin is away. */
export const detoursPerChunkMax = 3;
/** For how long a node that could not reach an origin does not try again where others can. */
export const detourMemoryMs = 5000;
/** An origin that has been silent for this long is asked by others too, and a fill that waits for it is left to others. */
export const detourAfterMs = 3000;
export const detourSilenceMs = 10_000;
/** What others take in all to bring a chunk from the origin, and to ask for a version or a page. */
export const detourChunkMs = 30_000;
export const detourAskMs = 10_000;
/** Sources tried for one chunk before the origin is asked without the cluster's leave. */
export const sourcesTriedMax = 8;

/** Request bodies at the admin door: a few names and a prefix. */
export const adminBodyMaxBytes = 64 * KiB;
/** The keys of a large checkpoint. */
export const checkpointBodyMaxBytes = 16 * MiB;
/** Connections at the admin door: people, scripts, Prometheus. */
export const adminConnectionsMax = 256;
/** Listeners to the event stream at once, and events that one of them may be behind before it loses some. */
export const eventListenersMax = 32;
export const eventBacklogMax = 1000;
/** A quiet event stream says something this often, so that both ends notice a dead connection. */
export const eventHeartbeatMs = 15_000;
/** Log lines of one kind per second; the rest are counted and told with the next. */
export const logLinesPerSecondMax = 50;
/** Unwritten log text; beyond it lines are dropped, so that a stalled reader of stderr costs no memory. */
export const logBacklogMaxBytes = 4 * MiB;
/** Label sets of one metric; beyond it values are counted under "other". */
export const metricSeriesMax = 1000;
/** A daemon that has not stopped by then, for all the bounds of its doors and its store, hangs, and ends anyway. */
export const shutdownMaxMs = 20_000;
/** Parts of `node.memory`: small contents, facts. The rest is for fills, the index and requests under way. */
export const hotShare = 0.25;
export const factShare = 0.25;
/** Memory that one fill takes: its blocks and what the origin's client buffers. */
export const fillMemoryBytes = 4 * MiB;
/** Rate at which the scrubber reads what is here. */
export const scrubBytesPerS = 16 * MiB;
/** How long the first look at an origin may take before it counts as away. */
export const originProbeMs = 10_000;

/** Uploads of one node that a directory's owner, and the node itself, let run at once: as many as a node has sources. */
export const uploadSlotsMax = 4;
/** Chunks that an owner remembers holders of (about 80 bytes each), and how many holders of each. */
export const directoryChunksMax = 1 << 20;
export const holdersPerChunkMax = 8;
/** Askers that an owner keeps waiting; more are told to come again. */
export const directoryWaitersMax = 65_536;
/** When who was told to wait asks again, if it was forgotten. */
export const directoryWaitMs = 2000;
/** A pull or a fill that has not been heard of for this long is given up by the directory. */
export const pullLeaseMs = 15_000;
export const fillLeaseMs = 60_000;
/** How long a new owner of slots waits for what members hold of them, before chunks nobody named are read again. */
export const takeoverMs = 5000;
/** Nodes of `forebay dev`: each is a process with its threads, on one machine. */
export const devNodesMax = 32;

/** What one key, one value and one transaction of the coordinator may hold: below etcd's 1.5 MiB and 128 operations, with room for what a batch adds. */
export const coordinatorKeyMaxBytes = 2 * KiB;
export const coordinatorValueMaxBytes = 1 * MiB;
export const coordinatorTransactionMaxBytes = 1.25 * MiB;
export const coordinatorOperationsMax = 120;
/** A request to the coordinator is given up after this, one attempt of it at one endpoint after that. */
export const coordinatorDeadlineMs = 5000;
export const coordinatorAttemptMs = 2000;
/** Large requests get this much more time: giving up on one that is on its way would only send it again. */
export const coordinatorBytesPerS = 256 * KiB;
/** Requests to the coordinator that wait or are under way; more fail with `overloaded`. */
export const coordinatorRequestsMax = 4096;
/** Transactions that arrive within this share one of the coordinator's, up to that many operations and bytes. */
export const commitWindowMs = 2;
export const commitBatchMax = 64;
export const commitBatchMaxBytes = 1 * MiB;
/** Batches of transactions under way at once: one while another is on its way; more only made them smaller (measured). */
export const commitLanesMax = 2;
/** A watch that heard nothing for this long is begun anew where it left off: its connection may be dead. */
export const watchSilentMs = 15_000;
/** History that the embedded coordinator keeps for watches; one that is further behind gets a snapshot. */
export const coordinatorHistoryMax = 8192;
export const coordinatorHistoryMaxBytes = 32 * MiB;
/** How often the embedded coordinator looks for changes by other processes. */
export const coordinatorPollMs = 25;
/** Another process may hold the embedded coordinator's file for this long. */
export const coordinatorBusyMs = 2000;

/** A writer and up to four others hold a version that is not in the origin. */
export const replicasMax = 5;
/** Blocks that a replica is asked to pull in one message, such messages under way per version and replica, and per replica in all. */
export const stagePullBlocksMax = 16;
export const stagePullsInFlightMax = 2;
export const stageCallsPerPeerMax = 16;
/** How long a replica may take for one such message, or to sync what it pulled, before the next node takes its place. */
export const stageCallMs = 60_000;
/** Bytes that are safe wait so long, at most, until those that are not have left the node; and how often room is looked at meanwhile. */
export const drainYieldMs = 60_000;
export const drainYieldLookMs = 1000;
/** A pause of copying up to this is none: between two messages of one version, or two files of one rank. */
export const copyLingerMs = 20;
/** Half of what a node was given is forgotten after this. */
export const copyMemoryMs = 20_000;
/** Once so much of the disk is taken by what cannot be evicted, draining makes way for nothing. */
export const drainYieldKeptShareMax = 0.8;
/** Contents up to this travel inside the message that seals them. */
export const stageInlineMaxBytes = 64 * KiB;
/** How long the commit of such a content waits for its copies, which are made by one message: then one record says all, instead of two. */
export const copyGraceMs = 4;
/** Copies that a replica takes in at once; more are refused, for other nodes take them. */
export const replicasStagedMax = 1024;
/** How often copies that failed are tried again, and how many versions at once. */
export const replicaRetryMs = 2000;
export const replicaRetriesInFlightMax = 4;
/** How long an acknowledgement at `replicated` waits for nodes that are not there (`onDegraded = "wait"`). */
export const degradedWaitMs = 30_000;
/** Bodies that are staged at once, with this many blocks of each on their way to the disk. */
export const stagedBodiesMax = 256;
export const stagedBlocksInFlightMax = 4;
/** Shorter bodies come through Node: handing a connection to a thread and back costs as much as some reads. */
export const receiveIntoMinBytes = 256 * KiB;
/** Bodies that threads receive at once, a block of memory each; others wait. */
export const bodiesReceivedMax = 64;
/** Blocks of a body that may be written and not yet reported. */
export const bodyAheadBlocksMax = 16;
/** Of a body that comes through Node: slices on their way to the disk. */
export const bodyWritesMax = 4;
/** How long a write waits for the origin to say what it has under the key, once everything else is done; then a conflict is found out later. */
export const baseHeadMs = 1000;
/** For how long an origin that did not say so in time is not waited for. */
export const baseAwayMs = 5000;
/** How often a commit is tried again when others change the same key. */
export const commitTriesMax = 32;
/** Replaced versions that never reached the origin are kept this long for who reads them. */
export const replacedKeepMs = 600_000;
/** What was written but, as far as is known, never committed is kept this long when no record speaks of it. */
export const uncommittedKeepMs = 24 * 3600_000;
/** A copy that no record names is asked about after this, and compared with the record of its key at most this often. */
export const leftAfterMs = 600_000;
export const leftLookMs = 30_000;
/** How often what is held for others, or for nobody any more, is looked through. */
export const dirtySweepMs = 5000;
/** A watch over records that broke is begun anew after this. */
export const recordWatchRetryMs = 500;
/** Records in one page of what is on its way to the origin. */
export const writesPageMax = 10_000;
/** How long an acknowledgement at `origin` waits for the drain. */
export const originAckMaxMs = 900_000;
/** Records read in one transaction, transactions of reads under way at once, and reads that wait for one of these. */
export const recordReadsMax = 64;
export const recordReadLanesMax = 4;
export const recordReadsWaitingMax = 4096;
/** Records that one transaction replaces: with a compare each and fences they fit the coordinator's bound. */
export const recordsPerCommitMax = 64;
/** How often a commit whose outcome is not known is sent again; its compare lets it take effect once. */
export const commitAgainMax = 1;
/** One version in a record: a user's metadata has at most 2 KiB, the rest about 1. */
export const recordVersionMaxBytes = 4 * KiB;
/** Checkpoints in the making that may hold a version of one key ready. */
export const intentsPerKeyMax = 8;
/** Objects of one checkpoint, and a checkpoint's name in bytes. */
export const checkpointObjectsMax = 100_000;
export const checkpointNameMaxBytes = 255;
/** Checkpoints of one volume that are remembered; `keep` makes room. */
export const checkpointsMax = 10_000;
/** How often a commit, a begin or a fold is decided again because another came first. */
export const checkpointTriesMax = 20;
/** How often a node looks for checkpoints whose commit or removal was begun and not brought to its end. */
export const checkpointSweepMs = 10_000;
/** How long an attempt that was aborted, or taken over, is remembered, so that nodes let go of what it had put. */
export const checkpointEndedMs = 3_600_000;
/** Earlier versions of ours that a record names, newest kept: an older one that reached the origin so late shows as a conflict. */
export const baseOwnMax = 32;
/** How many nodes a record names: a writer and its replica group. */
export const recordReplicasMax = 16;

/** The term of a node's session, and the share of it for which the node acts. */
export const sessionTtlMs = 10_000;
export const sessionActShare = 0.7;
/** Changes of the membership within this time are one. */
export const membershipSettleMs = 1000;
/** The first of those present makes them an epoch; the next does this much later if that one did not, up to so many. */
export const membershipRankMs = 250;
export const membershipRanksMax = 8;
/** A control message or its answer: a content of one chunk up to 1 MiB travels inside one, as base64. */
export const peerMessageMaxBytes = 4 * MiB;
/** Nesting of a control message: ours need four levels, and whoever reads one may recurse. */
export const peerMessageDepthMax = 32;
/** The head of a data request or of its answer, and the text of an error. */
export const peerHeadMaxBytes = 8 * KiB;
export const peerErrorMaxBytes = 16 * KiB;
/** From the connection's start to its first request, and from a request's first byte to the end of its head. */
export const peerHandshakeMs = 10_000;
/** How long a pooled connection stays with the asker; the holder keeps it longer, so that the asker closes first. */
export const peerPoolIdleMs = 30_000;
export const peerConnectionIdleMs = 90_000;
/** Connections that a node accepts from peers: 1,000 nodes with a few each. */
export const peerConnectionsMax = 8192;
/** Calls to one peer at once, each on a connection, and calls that wait for one of these. */
export const peerCallsInFlightMax = 32;
export const peerCallsWaitingMax = 4096;
/** Idle data connections kept to one peer, and to all. */
export const peerPoolPerPeerMax = 8;
export const peerPoolMax = 512;
/** Connection keys handed out, one per peer and life; the longest unused goes first. */
export const peerKeysMax = 16_384;
/** Data requests under one key may overtake each other by this many. A power of two. */
export const peerReplayWindow = 1024;
/** Blocks in one frame of an answer. */
export const peerFrameBlocksMax = 64;
/** Pulls that receive at once, a block of memory each, and pulls that wait for one of these. */
export const pullsActiveMax = 64;
export const pullsWaitingMax = 4096;
/** Blocks that a pull may have received and not yet seen reported. */
export const pullAheadBlocksMax = 16;
/** The same where these blocks are in memory. */
export const pullAheadMemoryBlocksMax = 4;
/** Threads that receive for one disk, each with one that writes; by default half the cores. */
export const pullersMax = 4;

/** A volume without a keeper is taken by the first in its order of members; the next waits this much longer, up to so many. */
export const keeperRankMs = 250;
export const keeperRanksMax = 8;
/** Between two attempts to become keeper, and how often one looks whether its session is still the same. */
export const keeperRetryMs = 500;
export const keeperLookMs = 500;
/** How long a version waits for a rename or a replacement before the origin shows it. */
export const drainSettleMs = 2000;
/** Bodies that one node sends to origins for keepers at once, and that wait for that. */
export const drainSendsMax = 8;
export const drainSendsWaitingMax = 256;
/** Objects up to this are drained in one request. The bytes of larger ones go ahead in parts, whatever has to be at the origin before them. */
export const drainPutMaxBytes = 4 * MiB;
/** Parts that one keeper has under way at one holder. */
export const drainPartsPerHolderMax = 4;
/** A holder answers within this and what its bytes take at the slowest that is worth waiting for, its turn included. */
export const drainCallMs = 120_000;
export const drainBytesPerSMin = 512 * KiB;
/** Objects that one keeper uploads, and finalises, at once. */
export const drainUploadsMax = 8;
export const drainFinalisesMax = 32;
/** An object that could not be drained is tried again after this, longer each time. */
export const drainBackoffBaseMs = 500;
export const drainBackoffMaxMs = 30_000;
/** What the origin refuses for good is tried again after this, for somebody may have changed its mind. */
export const drainRefusedRetryMs = 300_000;
/** Objects in conflict that a listing of them looks at, at the origin, at once. */
export const conflictLooksMax = 16;
/** How long a drained version's record stays, so that every node knows the two names of its bytes for one. */
export const recordStubMs = 3600_000;
/** How often a keeper looks for what is over, and for objects that came back after their delete. */
export const drainSweepMs = 15_000;
/** How long a request to an origin that nobody waits for any more may still take effect there. */
export const originLateMs = 900_000;
/** How often a keeper's commit takes a record that others rewrite meanwhile as it is now. */
export const keeperCommitTriesMax = 8;
/** A node that is gone for this long has lost its copies, as far as repairs go. */
export const repairAfterMs = 60_000;
/** How often a node that leaves looks what only it has. */
export const leaveLookMs = 500;
/** Versions that a node tells of in one message when records are rebuilt: 4 KiB each at most. */
export const recoverPageMax = 256;
/** A key that the origin denied so often while it took others counts as refused for good. */
export const drainDenialsMax = 3;
/** A version whose bytes no node of the cluster has for so long is shown as lost, until one has them. */
export const lostAfterMs = 60_000;

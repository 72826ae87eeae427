/** What an origin was asked, as its own server counted it: the proof of cold state and of S-11, outside the daemon. */

export interface OriginRequest {
  readonly method: string;
  readonly key: string;
  readonly status: number;
  /** Of a GET: the bytes asked for, as far as they lie in the object. */
  readonly start: number;
  readonly end: number;
  /** Bytes of body handed to the kernel. */
  readonly sentBytes: number;
  /** Of what was written: bytes of body that came, and CLOCK_MONOTONIC milliseconds when it was there for everyone. */
  readonly receivedBytes?: number;
  readonly atMs?: number;
}

export interface OriginCounts {
  readonly heads: number;
  readonly gets: number;
  readonly lists: number;
  readonly others: number;
  readonly getBytes: number;
}

export function countRequests(requests: readonly OriginRequest[]): OriginCounts {
  const of = (...methods: string[]) => requests.filter((request) => methods.includes(request.method)).length;
  const gets = requests.filter((request) => request.method === 'GET');
  return {
    heads: of('HEAD'),
    gets: gets.length,
    lists: of('LIST'),
    others: requests.length - of('HEAD', 'GET', 'LIST'),
    getBytes: gets.reduce((sum, request) => sum + request.sentBytes, 0),
  };
}

/** Whether the served ranges of a key cover its `sizeBytes` exactly once; says what is read twice and what never. */
export function coverage(
  requests: readonly OriginRequest[],
  key: string,
  sizeBytes: number,
): { twiceBytes: number; neverBytes: number; exactlyOnce: boolean } {
  const ranges = requests
    .filter((request) => request.method === 'GET' && request.key === key && request.sentBytes > 0)
    .map((request) => ({ start: request.start, end: request.start + request.sentBytes }))
    .sort((a, b) => a.start - b.start);
  let covered = 0;
  let twiceBytes = 0;
  let neverBytes = 0;
  for (const { start, end } of ranges) {
    if (start > covered) neverBytes += start - covered;
    twiceBytes += Math.max(0, Math.min(covered, end) - start);
    covered = Math.max(covered, end);
  }
  neverBytes += sizeBytes - covered;
  return { twiceBytes, neverBytes, exactlyOnce: twiceBytes === 0 && neverBytes === 0 };
}

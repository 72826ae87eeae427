/** The client closed its connection before its answer was complete: nobody is left to be told. */
export class ClientGone extends Error {
  override name = 'ClientGone';
}

export function clientGone(cause?: unknown): ClientGone {
  return new ClientGone('the client closed the connection', cause === undefined ? undefined : { cause });
}

/** Always-on assertions: a broken invariant is a bug, and a bug stops the process before it can lose data. */
export class AssertionError extends Error {
  override name = 'AssertionError';
}

/** States an invariant. Never used for a caller's mistake or an operating error (STYLE.md rule 5). */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** What happens to the files below a directory, as far as the system tells. Paths are relative to the directory. */
export type WatchHint =
  /** A file was closed by somebody who could write to it, or came from elsewhere under its final name. */
  | { readonly kind: 'finished'; readonly path: string }
  /** A file or a directory got another name below the same directory. */
  | { readonly kind: 'moved'; readonly from: string; readonly to: string }
  | { readonly kind: 'gone'; readonly path: string }
  /**
   * Something appeared: look at it, with all that is below. `''` is everything. `hasEscaped`: what happened there before was
   * not told of.
   */
  | { readonly kind: 'look'; readonly path: string; readonly hasEscaped: boolean }
  /** No more hints come: look now and then. */
  | { readonly kind: 'lost'; readonly reason: string };

export interface DirectoryWatch {
  close(): void;
}

/**
 * Watches a directory and all below it, without following links. Resolves when nothing escapes it any more. Rejects with DiskError.
 */
export type WatchDirectory = (
  directory: string,
  onHints: (hints: readonly WatchHint[]) => void,
) => Promise<DirectoryWatch>;

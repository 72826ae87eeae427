/** The directories that this node adopts. */
import { ForebayError } from '../core/errors.ts';
import { adoptionsMax, keyMaxBytes } from '../core/limits.ts';
import { Adoption, type AdoptionParts, type AdoptProgress, type AdoptRequest } from './adoption.ts';

export interface AdoptionsOptions extends AdoptionParts {
  readonly isStaged: (volume: string) => boolean;
  /** Nothing in there is adopted. */
  readonly cacheDir: string;
}

export class Adoptions {
  readonly #options: AdoptionsOptions;
  readonly #directories = new Set<string>();
  readonly #closing = new AbortController();

  constructor(options: AdoptionsOptions) {
    this.#options = options;
  }

  /** See `Adoption.run`. Throws invalidArgument for what cannot be adopted, conflict for what is adopted already, overloaded. */
  async *adopt(request: AdoptRequest, signal: AbortSignal): AsyncGenerator<AdoptProgress> {
    const directory = trimmed(request.directory);
    await this.#check({ ...request, directory });
    this.#directories.add(directory);
    try {
      const either = AbortSignal.any([signal, this.#closing.signal]);
      yield* new Adoption(this.#options, { ...request, directory }).run(either);
    } finally {
      this.#directories.delete(directory);
    }
  }

  close(): void {
    this.#closing.abort(new ForebayError('shuttingDown', 'the node is stopping'));
  }

  async #check({ volume, directory, prefix }: AdoptRequest): Promise<void> {
    const { disk, cacheDir, isStaged } = this.#options;
    if (!isStaged(volume))
      throw new ForebayError(
        'invalidArgument',
        `the volume ${volume} adopts no files: give it write = true and ack = "local" or "replicated"`,
      );
    if (Buffer.byteLength(prefix) > keyMaxBytes) throw new ForebayError('keyTooLong', 'the prefix is too long');
    const stat = await disk.stat(directory);
    if (stat?.kind !== 'directory')
      throw new ForebayError('invalidArgument', `${directory} is not a directory on this node's machine`);
    if (overlaps(directory, cacheDir))
      throw new ForebayError('invalidArgument', `${directory} and the cache directory ${cacheDir} lie in each other`);
    for (const other of this.#directories)
      if (overlaps(directory, other)) throw new ForebayError('conflict', `${other} is adopted already`);
    if (this.#directories.size >= adoptionsMax)
      throw new ForebayError('overloaded', `this node adopts ${adoptionsMax} directories already`);
  }
}

function trimmed(directory: string): string {
  return directory === '/' ? directory : directory.replace(/\/+$/, '');
}

function overlaps(one: string, other: string): boolean {
  return `${one}/`.startsWith(`${other}/`) || `${other}/`.startsWith(`${one}/`);
}

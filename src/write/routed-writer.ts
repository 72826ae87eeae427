/** Sends each call to the write path of its volume: staged where the volume has `writes`, else straight through to the origin. */
import type { Target, Writer } from './writer.ts';

export function createRoutedWriter(parts: {
  readonly through: Writer;
  readonly staged: Writer;
  readonly isStaged: (volume: string) => boolean;
}): Writer {
  const of = ({ volume }: Pick<Target, 'volume'>): Writer => (parts.isStaged(volume) ? parts.staged : parts.through);
  return {
    put: (target, ...rest) => of(target).put(target, ...rest),
    delete: (target, ...rest) => of(target).delete(target, ...rest),
    copy: (source, target, ...rest) => of(target).copy(source, target, ...rest),
    rename: (source, target, ...rest) => of(target).rename(source, target, ...rest),
    beginUpload: (target, ...rest) => of(target).beginUpload(target, ...rest),
    putPart: (target, ...rest) => of(target).putPart(target, ...rest),
    copyPart: (source, target, ...rest) => of(target).copyPart(source, target, ...rest),
    listParts: (target, ...rest) => of(target).listParts(target, ...rest),
    listUploads: (volume, prefix) => of({ volume }).listUploads(volume, prefix),
    completeUpload: (target, ...rest) => of(target).completeUpload(target, ...rest),
    abortUpload: (target, ...rest) => of(target).abortUpload(target, ...rest),
  };
}

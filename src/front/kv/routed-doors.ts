/** Sends each call of a door to the paths of its volume's kind: objects with an origin, or values without. */
import type { Reader } from '../../read/reader.ts';
import { withSourceRange } from '../../write/source-body.ts';
import type { Target, Writer } from '../../write/writer.ts';

export interface Kinds<T> {
  readonly objects: T;
  readonly values: T;
  readonly isKv: (volume: string) => boolean;
}

export function routedReader({ objects, values, isKv }: Kinds<Reader>): Reader {
  const of = (volume: string): Reader => (isKv(volume) ? values : objects);
  return {
    open: (volume, ...rest) => of(volume).open(volume, ...rest),
    openHot: (volume, key) => of(volume).openHot(volume, key),
    async head(volume, key, signal) {
      const reader = of(volume);
      if (reader.head !== undefined) return await reader.head(volume, key, signal);
      const object = await reader.open(volume, key, signal);
      object.close();
      return object.fact;
    },
    list: (request, ...rest) => of(request.volume).list(request, ...rest),
    warm: (selection, options) => of(selection.volume).warm(selection, options),
    check: (selection, options) => of(selection.volume).check(selection, options),
    evict: (selection) => of(selection.volume).evict(selection),
    pin: (selection, pinned) => of(selection.volume).pin(selection, pinned),
    explain: (volume, key) => of(volume).explain(volume, key),
  };
}

/** `reader` opens what is copied from one kind to the other. */
export function routedWriter({ objects, values, isKv }: Kinds<Writer>, reader: Pick<Reader, 'open'>): Writer {
  const of = ({ volume }: Pick<Target, 'volume'>): Writer => (isKv(volume) ? values : objects);
  const open: Reader['open'] = (...args) => reader.open(...args);
  return {
    put: (target, ...rest) => of(target).put(target, ...rest),
    delete: (target, ...rest) => of(target).delete(target, ...rest),
    async copy(source, target, options) {
      if (isKv(target.volume) || !isKv(source.volume)) return await of(target).copy(source, target, options);
      const { attributes, ...others } = options;
      const object = await open(source.volume, source.key, options.signal);
      const { headers, metadata } = attributes ?? object.fact;
      object.close();
      return await withSourceRange(open, source, options.signal, (body) =>
        objects.put(target, body, { ...others, headers, metadata }),
      );
    },
    rename: (source, ...rest) => of(source).rename(source, ...rest),
    beginUpload: (target, ...rest) => of(target).beginUpload(target, ...rest),
    putPart: (target, ...rest) => of(target).putPart(target, ...rest),
    async copyPart(source, target, uploadId, number, signal) {
      if (isKv(target.volume) || !isKv(source.volume))
        return await of(target).copyPart(source, target, uploadId, number, signal);
      return await withSourceRange(open, source, signal, (body) =>
        objects.putPart(target, uploadId, number, body, signal),
      );
    },
    listParts: (target, ...rest) => of(target).listParts(target, ...rest),
    listUploads: (volume, prefix) => of({ volume }).listUploads(volume, prefix),
    completeUpload: (target, ...rest) => of(target).completeUpload(target, ...rest),
    abortUpload: (target, ...rest) => of(target).abortUpload(target, ...rest),
  };
}

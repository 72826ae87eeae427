/**
 * What commands are told to work on: `VOLUME` (all of it), `VOLUME/KEY` (one object), `VOLUME/PREFIX/` or `VOLUME/PREFIX*`
 * (everything below). A leading `s3://` is accepted, as the AWS tools write it.
 */
import { VOLUME_NAME } from '../core/volume.ts';
import { wrongUse } from './failure.ts';

export interface Target {
  readonly volume: string;
  readonly key?: string;
  readonly prefix?: string;
}

export function parseTarget(text: string): Target {
  const path = text.startsWith('s3://') ? text.slice(5) : text;
  const slash = path.indexOf('/');
  const volume = slash < 0 ? path : path.slice(0, slash);
  if (!VOLUME_NAME.test(volume))
    throw wrongUse(
      `${JSON.stringify(text)} names no volume; write VOLUME, VOLUME/KEY, VOLUME/PREFIX/ or VOLUME/PREFIX*`,
    );
  const rest = slash < 0 ? '' : path.slice(slash + 1);
  if (rest === '' || rest.endsWith('/')) return { volume, prefix: rest };
  if (rest.endsWith('*')) return { volume, prefix: rest.slice(0, -1) };
  return { volume, key: rest };
}

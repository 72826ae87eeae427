import type { Volume } from '../core/volume.ts';
import type { Origin } from '../origin/origin.ts';

/** A volume and where its objects come from. */
export interface VolumeSource {
  readonly volume: Volume;
  readonly origin: Origin;
}

/** Who is measured, and how one of them is measured once. */
import type { Rig } from './rig.ts';
import { torrentTrial } from './torrent.ts';
import { proveBytes, readAtDoor, readAtOrigin, runTrial, type Trial, warmUp } from './trial.ts';

export const CANDIDATES = {
  warm: 'Forebay, warm',
  again: 'Forebay, warm again',
  door: 'Forebay, S3 readers',
  direct: 'each from the origin',
  torrent: 'BitTorrent (aria2)',
} as const;
export type Candidate = keyof typeof CANDIDATES;

/** One candidate, once, with an object of its own. Rejects on a wrong byte, and when the object was not cold. */
export async function measure(rig: Rig, candidate: Candidate): Promise<Trial> {
  const object = await rig.freshObject();
  try {
    if (candidate === 'torrent') return await torrentTrial(rig, object);
    const gets = { warm: warmUp, again: warmUp, door: readAtDoor, direct: readAtOrigin } as const;
    const trial = await runTrial(rig, object, { candidate: CANDIDATES[candidate], get: gets[candidate](rig) });
    if (trial.origin.neverBytes > 0)
      throw new Error(`${candidate} was not cold: ${trial.origin.neverBytes} bytes were never asked of the origin`);
    if (candidate === 'warm' || candidate === 'again') await proveBytes(rig, object);
    return trial;
  } finally {
    await rig.forget(object);
  }
}

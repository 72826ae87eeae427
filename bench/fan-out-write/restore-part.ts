/** A step that is safe, read on a node that has none of it, while its replicas live: the origin must not be asked. */
import { CPU_BUSY_MAX, CpuWatch } from '../cpu-busy.ts';
import type { Progress } from '../progress.ts';
import { type Figure, figure, shown } from '../result.ts';
import { bootstrap, median, type Target } from '../statistics.ts';
import { type Candidate, measure } from './candidates.ts';
import type { JobFile } from './job-command.ts';
import type { FanOutWriteOptions, Part } from './part.ts';
import { daemonOf, type Rig, type RigNode } from './rig.ts';
import { type Step, shardsOf } from './step.ts';
import { statesOf } from './watch.ts';

const RESTORE_MAX = 1.15;
const ROUNDS_MAX = 3;
/** Files that a framework reads at once on a node: one for each of its ranks. */
export const RESTORE_PARALLEL = 8;

/** While the drain uses the same links, or after it. */
type When = 'draining' | 'drained';

interface RestoreTrial {
  readonly when: When;
  readonly reader: string;
  readonly bytes: number;
  readonly seconds: number;
  readonly floorS: number;
  readonly originGets: number;
  readonly cpuBusy: number;
}

/** The node that has least of a step, and the files that it has nothing of. */
async function elsewhere(rig: Rig, step: Step): Promise<{ reader: RigNode; files: readonly JobFile[] }> {
  const states = new Map((await statesOf(rig.nodes[0] as RigNode, step)).map((state) => [state.key, state]));
  const lacking = rig.nodes.map((reader) => ({
    reader,
    files: shardsOf(step).filter(({ name }) => states.get(name)?.replicas?.includes(reader.name) === false),
  }));
  return lacking.reduce((best, one) => (bytesOf(one.files) > bytesOf(best.files) ? one : best));
}

const bytesOf = (files: readonly JobFile[]): number => files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);

async function restoreTrial(rig: Rig, candidate: Candidate, when: When): Promise<RestoreTrial | undefined> {
  const step = rig.freshStep();
  const { link } = await rig.goodput();
  let found: Awaited<ReturnType<typeof elsewhere>> | undefined;
  let trial: RestoreTrial | undefined;
  const restore = async () => {
    if (found === undefined || found.files.length === 0) return;
    const { reader, files } = found;
    const cpu = new CpuWatch();
    const host = daemonOf(reader).s3;
    const spell = await reader.job.restore({ host, prefix: rig.path, files, parallel: RESTORE_PARALLEL });
    const cpuBusy = cpu.busy();
    const asked = (await rig.origin.requests()).filter(({ method }) => method === 'GET');
    const seconds = (spell.toMs - spell.fromMs) / 1000;
    const bytes = bytesOf(files);
    trial = { when, reader: reader.name, bytes, seconds, floorS: bytes / link, originGets: asked.length, cpuBusy };
  };
  await measure(rig, step, candidate, async () => {
    found = await elsewhere(rig, step);
    if (when === 'draining') await restore();
  });
  if (when === 'drained') await restore();
  await rig.forget(step);
  return trial;
}

function ratioOf(trials: readonly RestoreTrial[], more: { target?: Target; where: string }): Figure {
  const busy = median(trials.map(({ cpuBusy }) => cpuBusy));
  const [took, floor] = [median(trials.map(({ seconds }) => seconds)), median(trials.map(({ floorS }) => floorS))];
  const megabytes = shown(median(trials.map(({ bytes }) => bytes / 1e6)));
  return figure(bootstrap(trials.map(({ seconds, floorS }) => seconds / floorS)), '', {
    ...(more.target && { target: more.target }),
    beside: `${megabytes} MB elsewhere in ${shown(took)} s ${more.where}, floor ${shown(floor)} s; CPU ${shown(busy)} busy`,
    inconclusive: busy > CPU_BUSY_MAX,
  });
}

export async function restorePart(rig: Rig, options: FanOutWriteOptions, progress: Progress): Promise<Part> {
  const candidate = (['adopt', 'local'] as const).find((one) => options.candidates.includes(one));
  if (candidate === undefined) return { figures: {}, trials: {} };
  const trials: RestoreTrial[] = [];
  const rounds = Math.min(options.rounds, ROUNDS_MAX);
  for (let i = 0; i < rounds; i++)
    for (const when of ['drained', 'draining'] as const) {
      progress.say(`restore elsewhere, ${when}, round ${i + 1} of ${rounds}`);
      const trial = await restoreTrial(rig, candidate, when);
      if (trial !== undefined) trials.push(trial);
    }
  const of = (when: When) => trials.filter((trial) => trial.when === when);
  if (of('drained').length === 0 || of('draining').length === 0) return { figures: {}, trials: {} };
  const gets = trials.map(({ originGets }) => originGets);
  return {
    figures: {
      restoreFloorRatio: ratioOf(of('drained'), { target: { atMost: RESTORE_MAX }, where: 'from replicas' }),
      restoreDrainingRatio: ratioOf(of('draining'), { where: 'from replicas that drain meanwhile' }),
      restoreOriginGets: figure({ median: median(gets), low: Math.min(...gets), high: Math.max(...gets) }, '', {
        target: { atMost: 0 },
        beside: 'counted at the origin, every byte compared',
      }),
    },
    trials: { restore: trials },
  };
}

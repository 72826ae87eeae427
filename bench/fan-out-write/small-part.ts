/** What many small objects and many opens cost: every one of them asks the coordinator. */
import type { Progress } from '../progress.ts';
import { shown, single } from '../result.ts';
import { quantile } from '../statistics.ts';
import type { FanOutWriteOptions, Part } from './part.ts';
import { daemonOf, type Rig } from './rig.ts';

const PUTS_PER_ROUND = 80;
const OPENS_PER_ROUND = 50;
const PUTS_PARALLEL = 16;
const PUT_BYTES = 4096;

export async function smallPart(rig: Rig, options: FanOutWriteOptions, progress: Progress): Promise<Part> {
  if (!rig.options.forebay) return { figures: {}, trials: {} };
  const prefixOf = (name: string) => `${rig.path}small/${name}/`;
  const count = PUTS_PER_ROUND * options.rounds;
  const puts = { count, parallel: PUTS_PARALLEL, sizeBytes: PUT_BYTES, ack: 'local' } as const;
  progress.say('small objects and opens');
  const spells = await Promise.all(
    rig.nodes.map((node) => node.job.put({ host: daemonOf(node).s3, prefix: prefixOf(node.name), ...puts })),
  );
  const fromMs = Math.min(...spells.map((spell) => spell.fromMs));
  const toMs = Math.max(...spells.map((spell) => spell.toMs));
  const commitsPerS = (count * options.nodes * 1000) / (toMs - fromMs);
  const paths = rig.nodes.map(({ name }) => `${prefixOf(name)}0`);
  const opens = (
    await Promise.all(
      rig.nodes.map((node) =>
        node.job.open({ host: daemonOf(node).s3, paths, count: OPENS_PER_ROUND * options.rounds }),
      ),
    )
  ).flat();
  return {
    figures: {
      openP99Ms: single(quantile(opens, 0.99), 'ms', {
        beside: `of ${shown(opens.length)} HEADs on all nodes at once, median ${shown(quantile(opens, 0.5))} ms`,
      }),
      commitsPerS: single(commitsPerS, '1/s', {
        beside: `PUTs of 4 KiB at local, ${PUTS_PARALLEL} at once on each of ${options.nodes} nodes, one embedded coordinator`,
      }),
    },
    trials: { small: [{ commitsPerS, opens }] },
  };
}

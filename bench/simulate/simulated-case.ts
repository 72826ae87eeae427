/** One case of `forebay simulate fan-out-read` with its figures; with slow or dying nodes beside the same case without. */
import { type FanOutFigures, floorMs, type PolicyName, simulateFanOut } from '../../sim/fan-out/fan-out.ts';
import type { FanOutParameters } from '../../sim/fan-out/world.ts';
import { seriesSvg } from '../plot.ts';
import { type Figure, shown, single } from '../result.ts';
import type { Target } from '../statistics.ts';

export interface SimulatedCase {
  readonly policy: PolicyName;
  readonly parameters: FanOutParameters;
}

export interface CaseOutcome {
  readonly run: FanOutFigures;
  readonly figures: Readonly<Record<string, Figure>>;
  /** SVG: what has been delivered over time. */
  readonly plot: string;
}

/** What DESIGN.md section 12 and the fan-out issue ask of dealt links; in other conditions figures are only shown. */
function efficiencyTarget({ nodes, chunks, originLinks, spread, slow, kill }: FanOutParameters): Target | undefined {
  if (slow > 0 || kill > 0) return undefined;
  if (spread > 0) return chunks >= 64 && spread >= 0.3 ? { atLeast: 0.9 } : undefined;
  if (originLinks < 1) return undefined;
  if (nodes <= 8) return chunks >= 64 ? { atLeast: 0.9 } : undefined;
  if (chunks < 1024) return undefined;
  if (nodes <= 1024) return { atLeast: 0.95 };
  return originLinks >= 8 ? { atLeast: 0.85 } : undefined;
}

const MESSAGES_MAX = 6;
const SLOW_P50_MAX = 1.1;
const KILL_MAKESPAN_MAX = 1.3;
const KILL_ORIGIN_MAX = 1.1;

const seconds = (ms: number) => `${shown(ms / 1000)} s`;

export function runCase({ policy, parameters }: SimulatedCase): CaseOutcome {
  const run = simulateFanOut(policy, parameters);
  const { slow, kill } = parameters;
  const undisturbed = slow > 0 || kill > 0 ? simulateFanOut(policy, { ...parameters, slow: 0, kill: 0 }) : undefined;
  const ours = policy === 'dealt';
  const target = (wanted: Target | undefined) => (ours && wanted !== undefined ? { target: wanted } : {});
  const figures: Record<string, Figure> = {
    efficiency: single(run.efficiency, '', {
      ...target(efficiencyTarget(parameters)),
      beside: `makespan ${seconds(run.makespanMs)}, floor ${seconds(run.floorMs)}`,
    }),
    messagesPerChunkAndNode: single(run.messagesPerChunkAndNode, '', target({ atMost: MESSAGES_MAX })),
    originBytesRatio: single(run.originBytesRatio, '', target(kill > 0 ? { atMost: KILL_ORIGIN_MAX } : undefined)),
    firstNodeS: single(run.firstNodeMs / 1000, 's', { beside: 'from its arrival' }),
    p50NodeS: single(run.p50NodeMs / 1000, 's'),
    lastNodeS: single(run.lastNodeMs / 1000, 's'),
  };
  if (undisturbed !== undefined && slow > 0)
    figures['p50RatioSlow'] = single(run.p50NodeMs / undisturbed.p50NodeMs, '', {
      ...target({ atMost: SLOW_P50_MAX }),
      beside: `p50 of the other nodes, without slow ones ${seconds(undisturbed.p50NodeMs)}`,
    });
  if (undisturbed !== undefined && kill > 0)
    figures['makespanRatioKill'] = single(run.makespanMs / undisturbed.makespanMs, '', {
      ...target({ atMost: KILL_MAKESPAN_MAX }),
      beside: `of those who live, without deaths ${seconds(undisturbed.makespanMs)}`,
    });
  return { run, figures, plot: progressPlot(policy, parameters, run) };
}

function progressPlot(policy: PolicyName, parameters: FanOutParameters, run: FanOutFigures): string {
  const { nodes, chunks, originLinks } = parameters;
  return seriesSvg({
    title: `${nodes} nodes, ${chunks} chunks, origin of ${shown(originLinks)} links`,
    x: 's',
    y: 'share of all that is to come',
    series: [
      { label: policy, points: run.samples.map(([ms, share]) => [ms / 1000, share] as const) },
      {
        label: 'floor',
        points: [
          [0, 0],
          [floorMs(parameters) / 1000, 1],
        ],
      },
    ],
  });
}

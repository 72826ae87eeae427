/** `bench fan-in-read`: one reader, many values on several nodes (DESIGN.md section 12); redis-server beside it in the same call. */
import { tmpdir } from 'node:os';
import { basename } from 'node:path';
import { environmentOf } from '../environment.ts';
import type { Progress } from '../progress.ts';
import type { Figure } from '../result.ts';
import type { Outcome } from '../scenario.ts';
import { gatherPart } from './gather-part.ts';
import { keysPart } from './keys-part.ts';
import type { FanInReadOptions, Measured, Part } from './part.ts';
import { pressPart } from './press-part.ts';
import { redisPart } from './redis-part.ts';
import { tracePart } from './trace-part.ts';

const PARTS: readonly Part[] = [gatherPart, redisPart, pressPart, tracePart, keysPart];

export const FAN_IN_READ_FIGURES: readonly string[] = PARTS.flatMap(({ figures }) => figures);

/** The parts that give what is asked for; a figure may be named with its condition. */
function wanted({ only, self, full }: FanInReadOptions): readonly Part[] {
  if (self) return [redisPart];
  return PARTS.filter(({ figures, isExtra }) =>
    only.length === 0
      ? isExtra !== true || full
      : only.some((name) => figures.some((figure) => name.startsWith(figure))),
  );
}

export async function runFanInRead(options: FanInReadOptions, progress: Progress): Promise<Outcome> {
  const environment = environmentOf(options.directory ?? tmpdir());
  const parts: Measured[] = [];
  for (const part of wanted(options)) parts.push(await part.run(options, progress));
  const merged = <T>(of: (part: Measured) => Readonly<Record<string, T>> | undefined) =>
    Object.assign({}, ...parts.map((part) => of(part) ?? {})) as Record<string, T>;
  return {
    result: {
      scenario: 'fan-in-read',
      environment,
      parameters: {
        ...options,
        shaping:
          options.shaping === 'kernel' ? 'kernel (network namespaces, tbf)' : 'user space (proxies with token buckets)',
        traceFile: basename(options.traceFile),
        cachesOn: options.directory ?? 'tmpfs',
      },
      figures: merged<Figure>(({ figures }) => figures),
      trials: merged<readonly unknown[]>(({ trials }) => trials),
    },
    plots: merged<string>(({ plots }) => plots),
  };
}

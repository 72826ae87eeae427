import { runOriginConformance } from '../../tests/conformance/origin.ts';
import { createRealClock } from '../io/real/clock.ts';
import { createRealRandom } from '../io/real/random.ts';
import { createMemoryOrigin } from './memory.ts';

runOriginConformance('memory', async () => {
  const origin = createMemoryOrigin({ clock: createRealClock(), random: createRealRandom() });
  return { origin, close: () => origin.close() };
});

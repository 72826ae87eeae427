/** Operations of clients that have not ended, by the life of the machine that they ask: those of a life that is over never do. */
import type { Life } from '../sim-clock.ts';
import type { ClusterMachine } from './cluster-machine.ts';
import type { World } from './scenario.ts';

export class UnderWay {
  readonly #world: Pick<World, 'clock' | 'findings'>;
  readonly #machines: readonly ClusterMachine[];
  readonly #counts = new Map<Life, number>();

  constructor(world: Pick<World, 'clock' | 'findings'>, machines: readonly ClusterMachine[]) {
    this.#world = world;
    this.#machines = machines;
  }

  async counted(life: Life, operation: () => Promise<void>): Promise<void> {
    this.#counts.set(life, (this.#counts.get(life) ?? 0) + 1);
    await operation();
    this.#counts.set(life, (this.#counts.get(life) ?? 0) - 1);
  }

  /**
   * Waits, once the faults are over, until nobody is paused and everything has ended, or there is a finding. What has not ended within
   * `maxMs` is one, with what `open` says of it: false.
   */
  async ended(maxMs: number, open: () => string = () => ''): Promise<boolean> {
    const { clock, findings } = this.#world;
    for (const { life } of this.#machines) await clock.sleep(life.pausedUntilMs - clock.nowMs);
    const deadlineMs = clock.nowMs + maxMs;
    while (this.#left() > 0 && findings.isEmpty) {
      if (clock.nowMs > deadlineMs) {
        findings.add('liveness', `${this.#left()} operations have not ended ${maxMs} ms after the faults${open()}`);
        return false;
      }
      await clock.sleep(100);
    }
    return true;
  }

  #left(): number {
    return this.#machines.reduce((sum, { life }) => sum + (this.#counts.get(life) ?? 0), 0);
  }
}

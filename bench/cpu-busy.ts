/** How busy the whole machine was, whoever kept it so: a figure that links shall bound is worth nothing when the CPU did. */
import { readFileSync } from 'node:fs';

/** Above this a figure that is bound by links is inconclusive (DESIGN.md section 12). */
export const CPU_BUSY_MAX = 0.8;

interface Ticks {
  readonly total: number;
  readonly idle: number;
}

/** Of all cores together; waiting for a disk counts as idle. */
function ticks(): Ticks {
  const [line = ''] = readFileSync('/proc/stat', 'latin1').split('\n', 1);
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = line
    .split(/\s+/)
    .slice(1)
    .map(Number);
  const idleTicks = idle + iowait;
  return { total: user + nice + system + idleTicks + irq + softirq + steal, idle: idleTicks };
}

export class CpuWatch {
  readonly #from = ticks();

  /** Fraction of the machine in use since this was made, 0 to 1. */
  busy(): number {
    const now = ticks();
    const total = now.total - this.#from.total;
    return total === 0 ? 0 : 1 - (now.idle - this.#from.idle) / total;
  }
}

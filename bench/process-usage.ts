/**
 * What processes use, read from /proc by the one who measures, so that the measured are not asked.
 *
 * CPU time is the sum of the scheduler's nanoseconds of every live thread; a thread or child that has ended takes its
 * part with it, so measure while the process lives and keeps its threads. Clock ticks (10 ms) where the kernel keeps no
 * scheduler statistics.
 */
import { readdirSync, readFileSync } from 'node:fs';

const TICKS_PER_S = 100;

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // the process or thread has ended since it was listed
  }
}

function names(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** A process and all its living descendants. */
export function processTree(pid: number): number[] {
  const children = names(`/proc/${pid}/task`).flatMap((task) =>
    (read(`/proc/${pid}/task/${task}/children`) ?? '').split(' ').filter(Boolean).map(Number),
  );
  return [pid, ...children.flatMap(processTree)];
}

function threadCpuS(path: string): number {
  const ran = Number((read(`${path}/schedstat`) ?? '').split(' ')[0]);
  if (ran > 0) return ran / 1e9;
  const stat = read(`${path}/stat`);
  if (stat === undefined) return 0;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S;
}

/** CPU seconds used so far by a process tree. */
export function cpuSeconds(pid: number): number {
  let total = 0;
  for (const process of processTree(pid))
    for (const task of names(`/proc/${process}/task`)) total += threadCpuS(`/proc/${process}/task/${task}`);
  return total;
}

export interface Memory {
  readonly residentBytes: number;
  /** The most that was ever resident. */
  readonly peakBytes: number;
  /** Resident without the pages of files (the Node executable's, mostly). */
  readonly anonymousBytes: number;
  readonly threads: number;
}

/** Memory of one process; throws when it has ended. */
export function memoryOf(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
  return {
    residentBytes: field('VmRSS') * 1024,
    peakBytes: field('VmHWM') * 1024,
    anonymousBytes: field('RssAnon') * 1024,
    threads: field('Threads'),
  };
}

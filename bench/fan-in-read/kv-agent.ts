/** Run on a host of the bench as a process of its own; ends with the bench. */
import { serveHost } from '../host-process.ts';
import type { KvCommand } from './kv-command.ts';
import { gather, probe, put } from './kv-tasks.ts';
import { press } from './press-task.ts';
import { replay } from './replay-task.ts';
import { runLoad } from './resp-load.ts';

async function perform(command: KvCommand, note: (note: unknown) => void): Promise<unknown> {
  switch (command.do) {
    case 'load':
      return runLoad(command);
    case 'put':
      return put(command);
    case 'gather':
      return gather(command);
    case 'probe':
      return probe(command);
    case 'press':
      return press(command, note);
    case 'replay':
      return replay(command, note);
  }
}

serveHost(perform);

/** Run on a host of the bench as a process of its own; ends with the bench, or is killed by it. */
import { serveHost } from '../host-process.ts';
import type { JobCommand } from './job-command.ts';
import { copy, exists, openAgain, put, restore, save } from './job-tasks.ts';

function perform(command: JobCommand): Promise<unknown> {
  switch (command.do) {
    case 'save':
      return save(command);
    case 'copy':
      return copy(command);
    case 'restore':
      return restore(command);
    case 'exists':
      return exists(command);
    case 'open':
      return openAgain(command);
    case 'put':
      return put(command);
  }
}

serveHost(perform);

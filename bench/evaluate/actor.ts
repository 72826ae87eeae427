/** Run on a node of an evaluation as a process of its own; ends with the evaluation, or is killed by it. */
import { ask } from '../fan-out-read/agent-tasks.ts';
import { serveHost } from '../host-process.ts';
import type { ActorCommand } from './actor-command.ts';
import { copyAll, isMounted, knock, read, run, save } from './actor-tasks.ts';

function perform(command: ActorCommand): Promise<unknown> {
  switch (command.do) {
    case 'read':
      return read(command);
    case 'save':
      return save(command);
    case 'copy':
      return copyAll(command);
    case 'run':
      return run(command.line, command.directory);
    case 'ask':
      return ask(command.url, command.body);
    case 'knock':
      return knock(command.host);
    case 'isMounted':
      return isMounted(command.directory);
  }
}

serveHost(perform);

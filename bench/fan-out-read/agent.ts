/** Run on a host of the bench as a process of its own; ends with the bench. */
import { serveHost } from '../host-process.ts';
import type { AgentCommand } from './agent-command.ts';
import { ask, read, receive, source, torrent, track, warm } from './agent-tasks.ts';

function perform(command: AgentCommand, onBytes: (bytes: unknown) => void): Promise<unknown> {
  switch (command.do) {
    case 'source':
      return source(command.address);
    case 'receive':
      return receive(command.from, command.forMs);
    case 'read':
      return read(command, onBytes);
    case 'warm':
      return warm(command.admin, command.body, onBytes);
    case 'ask':
      return ask(command.url, command.body);
    case 'track':
      return track(command.address, command.peers);
    case 'torrent':
      return torrent(command.rpc, onBytes);
  }
}

serveHost(perform);

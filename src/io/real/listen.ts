/**
 * Listening sockets of real doors.
 *
 * Where the machine's congestion control is BBR, the kernel paces what a socket sends: it arms a timer for about every
 * 64 KiB, which on a virtual machine is an exit to the hypervisor, also towards a client on the same machine, where there
 * is no queue to spare. A socket that listens on a loopback address therefore takes Reno, which does not pace and which
 * every kernel allows to everyone; its connections inherit that before their first byte.
 */
import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import { type Address, isLoopback } from '../../core/address.ts';
import type { Libc } from './libc.ts';
import { serverFd } from './socket.ts';

/** Resolves with the port. Rejects with the system's error. */
export async function listen(server: Server, address: Address, libc: Libc): Promise<number> {
  server.listen(address.port, address.host);
  await once(server, 'listening');
  const fd = isLoopback(address.host) ? serverFd(server) : undefined;
  // A kernel that refuses leaves its own choice in force: slower there, and nothing else.
  if (libc.available && fd !== undefined) libc.setCongestionControl(fd, 'reno');
  return (server.address() as AddressInfo).port;
}

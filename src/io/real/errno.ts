/** Names of error numbers, and errors that carry one. */
import { constants } from 'node:os';

const NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));
/** Of names that share a number, the one that Node uses. */
NAMES.set(constants.errno.EAGAIN, 'EAGAIN');
NAMES.set(constants.errno.ENOTSUP, 'ENOTSUP');

export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `E${errno}`;
}

export function failure(code: string, syscall: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${syscall}`), { code, syscall });
}

/** What every coordinator holds a transaction to, and what its compares mean. */
import { ForebayError } from '../core/errors.ts';
import {
  coordinatorKeyMaxBytes,
  coordinatorOperationsMax,
  coordinatorTransactionMaxBytes,
  coordinatorValueMaxBytes,
} from '../core/limits.ts';
import type { Compare, CoordinatorOperation, KeyValue, Transaction } from './coordinator.ts';

/** The key that an operation is about. */
export function keyOf(operation: CoordinatorOperation): string {
  if ('put' in operation) return operation.put;
  return 'delete' in operation ? operation.delete : operation.read;
}

export function isWrite(operation: CoordinatorOperation): boolean {
  return !('read' in operation);
}

/** Whether either branch changes anything. */
export function writes(transaction: Transaction): boolean {
  return transaction.apply.some(isWrite) || (transaction.otherwise?.some(isWrite) ?? false);
}

/** Whether a compare holds of what is there now. */
export function holds(compare: Compare, found: Omit<KeyValue, 'key'> | undefined): boolean {
  if (compare.target === 'value') {
    return found !== undefined && Buffer.compare(found.value, compare.equals) === 0;
  }
  return (found?.[compare.target] ?? 0) === compare.equals;
}

function refuse(message: string): never {
  throw new ForebayError('invalidArgument', message);
}

/** A key or prefix: well-formed text of bounded length. Returns its bytes. */
export function checkKey(key: string, { mayBeEmpty = false } = {}): number {
  if (!key.isWellFormed()) refuse('a key of the coordinator is well-formed text');
  if (key === '' && !mayBeEmpty) refuse('a key of the coordinator is not empty');
  const bytes = Buffer.byteLength(key);
  if (bytes > coordinatorKeyMaxBytes) refuse(`a key of ${bytes} bytes: at most ${coordinatorKeyMaxBytes} are allowed`);
  return bytes;
}

function checkBranch(operations: readonly CoordinatorOperation[]): number {
  if (operations.length > coordinatorOperationsMax)
    refuse(`${operations.length} operations: at most ${coordinatorOperationsMax} are allowed`);
  const seen = new Map<string, boolean>();
  let bytes = 0;
  for (const operation of operations) {
    const key = keyOf(operation);
    const written = isWrite(operation);
    const before = seen.get(key);
    if (before !== undefined && (before || written)) refuse(`key ${key} is written and named twice in one branch`);
    seen.set(key, written);
    bytes += checkKey(key);
    if (!('put' in operation)) continue;
    if (operation.value.length > coordinatorValueMaxBytes)
      refuse(`a value of ${operation.value.length} bytes: at most ${coordinatorValueMaxBytes} are allowed`);
    bytes += operation.value.length;
  }
  return bytes;
}

/** Throws `invalidArgument` where a transaction breaks a bound. Returns about how many bytes it has. */
export function checkTransaction(transaction: Transaction): number {
  const { compares, apply, otherwise = [] } = transaction;
  if (compares.length > coordinatorOperationsMax)
    refuse(`${compares.length} compares: at most ${coordinatorOperationsMax} are allowed`);
  let bytes = checkBranch(apply) + checkBranch(otherwise);
  for (const compare of compares)
    bytes += checkKey(compare.key) + (compare.target === 'value' ? compare.equals.length : 8);
  if (bytes > coordinatorTransactionMaxBytes)
    refuse(`a transaction of ${bytes} bytes: at most ${coordinatorTransactionMaxBytes} are allowed`);
  return bytes;
}

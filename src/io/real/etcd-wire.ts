/** What goes to and comes from etcd's JSON gateway: keys and values in base64, 64-bit numbers as text. */
import type { Compare, CoordinatorOperation, KeyValue, Transaction } from '../coordinator.ts';
import { keyOf } from '../transaction.ts';
import { prefixRange } from './key-range.ts';

export interface EtcdHeader {
  readonly cluster_id?: string;
  readonly revision?: string;
}

export interface EtcdKeyValue {
  readonly key: string;
  readonly value?: string;
  readonly create_revision?: string;
  readonly mod_revision?: string;
}

export interface EtcdRange {
  readonly header?: EtcdHeader;
  readonly kvs?: readonly EtcdKeyValue[];
  readonly more?: boolean;
}

export interface EtcdTransaction {
  readonly header?: EtcdHeader;
  readonly succeeded?: boolean;
  readonly responses?: readonly {
    readonly response_range?: EtcdRange;
    readonly response_txn?: EtcdTransaction;
  }[];
}

export interface EtcdWatchResult {
  readonly header?: EtcdHeader;
  readonly created?: boolean;
  readonly canceled?: boolean;
  readonly cancel_reason?: string;
  readonly compact_revision?: string;
  readonly events?: readonly { readonly type?: 'PUT' | 'DELETE'; readonly kv: EtcdKeyValue }[];
}

const base64 = (bytes: Uint8Array | string): string => Buffer.from(bytes as string).toString('base64');

/** Our keys among everyone's: `/forebay/<cluster>/keys/…`, and beside them the lanes of `etcd-lane.ts`. */
export class EtcdKeys {
  readonly #keys: string;
  readonly #lanes: string;
  readonly #skipBytes: number;

  constructor(cluster: string) {
    this.#keys = `/forebay/${cluster}/keys/`;
    this.#lanes = `/forebay/${cluster}/lanes/`;
    this.#skipBytes = Buffer.byteLength(this.#keys);
  }

  key(key: string): string {
    return base64(this.#keys + key);
  }

  lane(name: string): string {
    return base64(this.#lanes + name);
  }

  range(prefix: string, after?: string): { key: string; range_end: string } {
    // The prefix is not empty, so that there is an end.
    const { start, end } = prefixRange(this.#keys + prefix, after === undefined ? undefined : this.#keys + after);
    return { key: base64(start), range_end: base64(end as Uint8Array) };
  }

  /** A key as it was put. */
  name(key: string): string {
    return Buffer.from(key, 'base64').subarray(this.#skipBytes).toString('utf8');
  }

  keyValue({ key, value = '', create_revision, mod_revision }: EtcdKeyValue): KeyValue {
    return {
      key: this.name(key),
      value: new Uint8Array(Buffer.from(value, 'base64')),
      createRevision: Number(create_revision ?? 0),
      modifyRevision: Number(mod_revision ?? 0),
    };
  }

  #compare(compare: Compare): object {
    const base = { key: this.key(compare.key), result: 'EQUAL' };
    switch (compare.target) {
      case 'createRevision':
        return { ...base, target: 'CREATE', create_revision: String(compare.equals) };
      case 'modifyRevision':
        return { ...base, target: 'MOD', mod_revision: String(compare.equals) };
      case 'value':
        return { ...base, target: 'VALUE', value: base64(compare.equals) };
    }
  }

  #operation(operation: CoordinatorOperation): object {
    const key = this.key(keyOf(operation));
    if ('read' in operation) return { request_range: { key } };
    if ('delete' in operation) return { request_delete_range: { key } };
    const { value, session } = operation;
    return { request_put: { key, value: base64(value), ...(session !== undefined && { lease: session }) } };
  }

  transaction({ compares, apply, otherwise = [] }: Transaction): object {
    return {
      compare: compares.map((compare) => this.#compare(compare)),
      success: apply.map((operation) => this.#operation(operation)),
      failure: otherwise.map((operation) => this.#operation(operation)),
    };
  }

  /** What the reads of a transaction's branch found. */
  reads({ responses = [] }: EtcdTransaction): KeyValue[] {
    return responses.flatMap(({ response_range: range }) => (range?.kvs ?? []).map((found) => this.keyValue(found)));
  }
}

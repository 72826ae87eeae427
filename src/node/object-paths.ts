/** What doors that speak of objects are opened over: the node's own read and write paths, and its kv volumes beside them. */
import type { Volume } from '../core/volume.ts';
import { routedReader, routedWriter } from '../front/kv/routed-doors.ts';
import { createValueReader } from '../front/kv/value-reader.ts';
import { createValueWriter } from '../front/kv/value-writer.ts';
import type { Io } from '../io/io.ts';
import type { Reader } from '../read/reader.ts';
import type { Writer } from '../write/writer.ts';
import type { Config } from './config.ts';
import type { Node } from './node.ts';

export interface ObjectPaths {
  readonly reader: Reader;
  readonly writer: Writer;
  /** Of every kind, in the order of the configuration. */
  readonly volumes: ReadonlyMap<string, { readonly volume: Volume }>;
}

export function objectPaths({ config, io, node }: { config: Config; io: Io; node: Node }): ObjectPaths {
  const volumes = new Map(config.volumes.map(({ volume }) => [volume.name, { volume }]));
  const { kv, reader, writer } = node;
  if (kv === undefined) return { reader, writer, volumes: node.volumes };
  const { clock, random } = io;
  const isKv = (volume: string): boolean => kv.volumes.has(volume);
  const both = routedReader({ objects: reader, values: createValueReader({ kv, clock }), isKv });
  const openSource: Reader['open'] = (...args) => both.open(...args);
  const values = createValueWriter({ kv, volumes, openSource, clock, random });
  return { reader: both, writer: routedWriter({ objects: writer, values, isKv }, both), volumes };
}

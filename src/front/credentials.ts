/** Who may do what at the doors: `[keys.ID] secret, volumes, rights` in the configuration, or the generated credentials file. */
export type Right = 'read' | 'write' | 'admin';

export interface AccessKey {
  readonly id: string;
  readonly secret: string;
  /** Volume names, or `*`. */
  readonly volumes: readonly string[];
  readonly rights: readonly Right[];
}

export function mayAccess(key: AccessKey, volume: string, right: Right): boolean {
  return key.rights.includes(right) && (key.volumes.includes('*') || key.volumes.includes(volume));
}

/** What a door needs to know of the node's credentials; `anonymous` accepts every request as this key (loopback only). */
export interface Credentials {
  find(id: string): AccessKey | undefined;
  readonly anonymous: AccessKey | undefined;
  /** Whom a secret without an id means (RESP `AUTH secret`): the only key of the configuration, or the node's own where that has none. */
  readonly only?: AccessKey | undefined;
}

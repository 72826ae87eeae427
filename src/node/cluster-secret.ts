/** The cluster's secret file: one secret per line, the first signs, all are accepted, so that it can be replaced while nodes run. */
import { readFileSync, statSync } from 'node:fs';
import { ForebayError } from '../core/errors.ts';

const SECRET_MIN_CHARACTERS = 16;
const SECRETS_MAX = 8;
/** How often the file is looked at again. */
const LOOK_MS = 1000;

export interface SecretFile {
  /** The secrets as the file holds them now; those of before while it cannot be read. */
  secrets(): readonly Uint8Array[];
  /** Somebody beside its owner may read it. */
  readonly isOpenToOthers: boolean;
}

/** Throws ForebayError config when the file cannot be read or holds no secret. */
export function openSecretFile(path: string, nowMs: () => number): SecretFile {
  let secrets = readSecrets(path);
  let lookedMs = nowMs();
  const { mode } = statSync(path);
  return {
    isOpenToOthers: (mode & 0o077) !== 0,
    secrets() {
      if (nowMs() - lookedMs < LOOK_MS) return secrets;
      lookedMs = nowMs();
      try {
        secrets = readSecrets(path);
      } catch {
        // It is being replaced, or gone: the secrets that were good go on being good.
      }
      return secrets;
    },
  };
}

function readSecrets(path: string): readonly Uint8Array[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new ForebayError('config', `cluster.secretFile ${path} cannot be read (${code})`, { cause: error });
  }
  const lines = text.split('\n').map((line) => line.trim());
  const secrets = lines.filter((line) => line !== '' && !line.startsWith('#'));
  if (secrets.length === 0 || secrets.length > SECRETS_MAX)
    throw new ForebayError(
      'config',
      `cluster.secretFile ${path} holds no secret; write one to a line, the first signs`,
    );
  if (secrets.some((secret) => secret.length < SECRET_MIN_CHARACTERS))
    throw new ForebayError(
      'config',
      `cluster.secretFile ${path}: a secret has at least ${SECRET_MIN_CHARACTERS} characters; make one with: openssl rand -base64 32`,
    );
  return secrets.map((secret) => Buffer.from(secret, 'utf8'));
}

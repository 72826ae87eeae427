/** Where this machine's tools are. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Where the distribution puts its tools comes first: a version manager's shim of the same name may be another version. */
const FOLDERS = ['/usr/bin', '/usr/sbin', ...(process.env['PATH'] ?? '').split(delimiter)];

/** The path of an executable; undefined when there is none. */
export function findTool(name: string): string | undefined {
  return FOLDERS.map((folder) => join(folder, name)).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

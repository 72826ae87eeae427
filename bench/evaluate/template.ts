/** Command lines of candidates: `${name}` stands for what the evaluation puts there. */

/** What every command line of a candidate may use. */
const VARIABLES = ['node', 'index', 'address', 'port', 'dir', 'origin', 'originHost', 'bucket', 'nodes'] as const;

const VARIABLE = /\$\{([^}]*)\}/g;

/** Names in `${…}` that neither every command line has nor this one. */
export function unknownVariables(text: string, more: readonly string[] = []): string[] {
  const known = new Set<string>([...VARIABLES, ...more]);
  return Array.from(text.matchAll(VARIABLE), ([, name]) => name as string).filter((name) => !known.has(name));
}

export function filled(text: string, values: Readonly<Record<string, string | number>>): string {
  return text.replace(VARIABLE, (whole, name: string) => String(values[name] ?? whole));
}

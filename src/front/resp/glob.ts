/** Redis's patterns (`*`, `?`, `[a-z]`, `[^a]`, `\` before a special) over byte strings, in time linear in pattern × text. */

/** The text that every match begins with. */
export function literalPrefix(pattern: string): string {
  let prefix = '';
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at] as string;
    if ('*?['.includes(character)) return prefix;
    if (character === '\\' && at + 1 < pattern.length) at++;
    prefix += pattern[at];
  }
  return prefix;
}

/** A `*` is tried from where it last matched only: what it took before is never tried again, so no pattern is slow. */
export function matches(pattern: string, text: string): boolean {
  let at = 0;
  let in_ = 0;
  let star = -1;
  let starIn = 0;
  while (in_ < text.length) {
    if (pattern[at] === '*') {
      star = at++;
      starIn = in_;
      continue;
    }
    const next = at < pattern.length ? matchOne(pattern, at, text[in_] as string) : undefined;
    if (next !== undefined) {
      at = next;
      in_++;
    } else if (star >= 0) {
      at = star + 1;
      in_ = ++starIn;
    } else return false;
  }
  while (pattern[at] === '*') at++;
  return at >= pattern.length;
}

/** Where the pattern goes on when its element at `at` takes `character`. */
function matchOne(pattern: string, at: number, character: string): number | undefined {
  const element = pattern[at] as string;
  if (element === '?') return at + 1;
  if (element === '[') return matchClass(pattern, at + 1, character);
  if (element === '\\' && at + 1 < pattern.length) return pattern[at + 1] === character ? at + 2 : undefined;
  return element === character ? at + 1 : undefined;
}

function matchClass(pattern: string, from: number, character: string): number | undefined {
  const isNegated = pattern[from] === '^';
  let isMatched = false;
  let at = isNegated ? from + 1 : from;
  for (; at < pattern.length && pattern[at] !== ']'; at++) {
    if (pattern[at] === '\\' && at + 1 < pattern.length) {
      at++;
      isMatched ||= pattern[at] === character;
    } else if (pattern[at + 1] === '-' && at + 2 < pattern.length) {
      const [low, high] = [pattern[at] as string, pattern[at + 2] as string].sort() as [string, string];
      isMatched ||= character >= low && character <= high;
      at += 2;
    } else isMatched ||= pattern[at] === character;
  }
  if (isMatched === isNegated) return undefined;
  return Math.min(at + 1, pattern.length);
}

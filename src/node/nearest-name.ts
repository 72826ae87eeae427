/** Which known name a mistyped one most likely meant. */

/** Edits (insert, delete, replace, swap of neighbours) that turn one text into the other; letter case counts a half. */
export function editDistance(from: string, to: string): number {
  const width = to.length + 1;
  let before = new Float64Array(width);
  let above = Float64Array.from({ length: width }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const here = new Float64Array(width);
    here[0] = row;
    for (let column = 1; column < width; column++) {
      const a = from[row - 1] as string;
      const b = to[column - 1] as string;
      const replace = a === b ? 0 : a.toLowerCase() === b.toLowerCase() ? 0.5 : 1;
      let best = Math.min(
        (above[column - 1] as number) + replace,
        (above[column] as number) + 1,
        (here[column - 1] as number) + 1,
      );
      const swapped = row > 1 && column > 1 && a === to[column - 2] && b === from[row - 2];
      if (swapped) best = Math.min(best, (before[column - 2] as number) + 1);
      here[column] = best;
    }
    before = above;
    above = here;
  }
  return above[to.length] as number;
}

/** The known name with the fewest edits; the first of equals. Names longer than any sensible key are not measured. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const text = name.slice(0, 100);
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const candidate of known) {
    const distance = editDistance(text, candidate);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

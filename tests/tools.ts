/** Tools that a test needs and a user's machine may lack. */
import type { TestContext } from 'node:test';
import { findTool } from '../bench/tool.ts';

/** Skips the test, naming what is missing; with FOREBAY_REQUIRE_ALL=1, as in CI, throws instead. */
export function skipOrFail(t: TestContext, missing: string): void {
  if (process.env['FOREBAY_REQUIRE_ALL'] === '1') throw new Error(`FOREBAY_REQUIRE_ALL is set, and ${missing}`);
  t.skip(missing);
}

/** The tool's path; where it is missing, the test is skipped by name (or fails, see `skipOrFail`) and the caller returns. */
export function requireTool(t: TestContext, name: string): string | undefined {
  const path = findTool(name);
  if (path === undefined) skipOrFail(t, `${name} is not installed`);
  return path;
}

/** Whether network namespaces can be made and shaped here; else the test is skipped by name (or fails). */
export function requireNamespaces(t: TestContext): boolean {
  return (
    requireRoot(t) && ['ip', 'tc', 'unshare', 'nsenter', 'setpriv'].every((name) => requireTool(t, name) !== undefined)
  );
}

/** Whether this process is root; else the test is skipped by name (or fails). */
export function requireRoot(t: TestContext): boolean {
  if (process.getuid?.() === 0) return true;
  skipOrFail(t, 'this test needs root');
  return false;
}

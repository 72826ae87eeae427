/**
 * What every origin does, whoever keeps the bytes. `factory` gives an empty origin; data is a ramp modulo a prime, so
 * that a misplaced byte shows. Listings are compared with a model that knows nothing of pages.
 */
import { suite, type TestContext, test } from 'node:test';
import type { Origin } from '../../src/origin/origin.ts';
import { concurrencyCases } from './origin-concurrency.ts';
import { keyCases } from './origin-keys.ts';
import { listCases } from './origin-list.ts';
import { objectCases } from './origin-objects.ts';
import { uploadCases } from './origin-uploads.ts';

export interface OriginUnderTest {
  readonly origin: Origin;
  close(): Promise<void>;
}

/** What an origin cannot do, as its own documentation says. */
export interface Limits {
  /** Keys are paths of a directory tree: no empty segment, `.`, `..`, and `a` excludes `a/b`. */
  readonly keysArePaths?: boolean;
  /** Keys are in URLs whose dot segments vanish. */
  readonly noDotSegments?: boolean;
  /** An upload that was aborted or completed still takes parts. */
  readonly uploadsNeverEnd?: boolean;
  /** Conditions that the store ignores or refuses. */
  readonly ignores?: readonly (
    | 'put.ifMatch'
    | 'put.race'
    | 'delete.ifMatch'
    | 'copy.ifNoneMatch'
    | 'finalise.ifMatch'
    | 'finalise.ifNoneMatch'
    | 'finalise.noSuchUpload'
    | 'part.noSuchUpload'
  )[];
  /** Listings are XML 1.0, which has no control characters. */
  readonly noControlCharacters?: boolean;
  /** Names are ordered by UTF-16 code units, which differs above U+FFFF. */
  readonly ordersByUtf16?: boolean;
  /** How many keys the large listing has: 10,000, or fewer for a server that takes minutes for them. */
  readonly manyKeys?: number;
}

export type On = (title: string, body: (origin: Origin, t: TestContext) => Promise<void>) => void;

export interface Suite {
  readonly on: On;
  readonly limits: Limits;
}

/** `factory` is called for each test; where it answers with a text, the tests are skipped with it by name. */
export function runOriginConformance(
  name: string,
  factory: (t: TestContext) => Promise<OriginUnderTest | string>,
  limits: Limits = {},
): void {
  const on: On = (title, body) =>
    void test(`${name}: ${title}`, async (t) => {
      const under = await factory(t);
      if (typeof under === 'string') {
        if (process.env['FOREBAY_REQUIRE_ALL'] === '1') throw new Error(`FOREBAY_REQUIRE_ALL is set, and ${under}`);
        t.skip(under);
        return;
      }
      try {
        await body(under.origin, t);
      } finally {
        await under.close();
      }
    });
  suite(`${name} as an origin`, () => {
    objectCases({ on, limits });
    keyCases({ on, limits });
    listCases({ on, limits });
    uploadCases({ on, limits });
    concurrencyCases({ on, limits });
  });
}

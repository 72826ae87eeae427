/**
 * Runs the tests: `npm test [-- PATH…]`, by default every `*.test.ts`. Real servers and clients that a test needs and
 * this machine lacks make it skip by name; with FOREBAY_REQUIRE_ALL=1 (set by CI) such a skip is a failure.
 */
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';

const named = process.argv.slice(2);
const files = named.length > 0 ? named : globSync('{src,sim,bench,room,tests,scripts}/**/*.test.ts').sort();
const child = spawn(
  process.execPath,
  [
    '--disable-warning=ExperimentalWarning',
    '--test',
    '--test-reporter=spec',
    `--test-concurrency=${Math.max(2, availableParallelism())}`,
    '--test-timeout=300000',
    ...files,
  ],
  { stdio: 'inherit' },
);
child.on('close', (code) => {
  process.exitCode = code ?? 1;
});

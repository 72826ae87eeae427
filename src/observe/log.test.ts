import assert from 'node:assert/strict';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { logLinesPerSecondMax } from '../core/limits.ts';
import { Log, type LogOptions, textLine } from './log.ts';

function logged(options: Partial<LogOptions>, write: (log: Log) => void): string[] {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-log-'));
  const path = join(directory, 'log');
  const descriptor = openSync(path, 'w');
  try {
    const log = new Log({ level: 'info', format: 'json', descriptor, sync: true, nowMs: () => 0, ...options });
    write(log);
    log.flush();
    return readFileSync(path, 'utf8').split('\n').filter(Boolean);
  } finally {
    // The descriptor stays open: a write may still be under way, and its number would soon be somebody else's.
    rmSync(directory, { recursive: true });
  }
}

test('an event is one JSON line with its level, time and fields', () => {
  const [line = ''] = logged({}, (log) => log.write({ kind: 'origin.away', volume: 'models', message: 'refused' }));
  const { time, ...rest } = JSON.parse(line) as Record<string, string>;
  assert.match(time ?? '', /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert.deepEqual(rest, { level: 'warn', kind: 'origin.away', volume: 'models', message: 'refused' });
});

test('events below the level are left out', () => {
  const write = (log: Log): void => {
    log.write({ kind: 'read.done', volume: 'models', bytes: 1, hitBytes: 1, ms: 1 });
    log.write({ kind: 'origin.back', volume: 'models' });
    log.write({ kind: 'store.corrupt', content: 'c', block: 1, found: 'read' });
  };
  assert.deepEqual(
    [logged({ level: 'debug' }, write).length, logged({}, write).length, logged({ level: 'error' }, write).length],
    [3, 2, 1],
  );
});

test('a kind that floods is cut, others are not, and the next line says how many are missing', () => {
  let nowMs = 0;
  const lines = logged({ nowMs: () => nowMs }, (log) => {
    for (let index = 0; index < logLinesPerSecondMax + 30; index++)
      log.write({ kind: 'door.refused', door: 's3', reason: 'x' });
    log.write({ kind: 'origin.back', volume: 'models' });
    nowMs = 1000;
    log.write({ kind: 'door.refused', door: 's3', reason: 'x' });
  });
  assert.equal(lines.length, logLinesPerSecondMax + 2);
  assert.equal((JSON.parse(lines.at(-1) as string) as { suppressed: number }).suppressed, 30);
});

test('on a terminal a line is text, and control characters in keys are shown, not obeyed', () => {
  const json =
    '{"level":"warn","time":"2026-11-22T16:01:02.000Z","kind":"fill.failed","volume":"models","key":"a\\u001b[2Jb","ms":1.25}';
  assert.equal(textLine(json), '16:01:02 warn  fill.failed volume=models key="a\\u001b[2Jb" ms=1.3\n');
  const [line] = logged({ format: 'text' }, (log) => log.write({ kind: 'origin.back', volume: 'models' }));
  assert.match(line ?? '', /^\d\d:\d\d:\d\d info {2}origin\.back volume=models$/);
});

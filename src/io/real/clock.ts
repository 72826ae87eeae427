/**
 * The real clock. CLOCK_BOOTTIME through the C library where FFI is there; else the operating system's uptime (10 ms
 * resolution) carried on by the monotonic clock, and set forward when a suspend shows.
 */
import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';
import { abortReason } from '../../core/errors.ts';
import type { Clock } from '../io.ts';
import { type FfiChoice, loadLibc } from './libc.ts';

/** Node's timers take at most this; longer sleeps are chained. */
const TIMER_MAX_MS = 2 ** 31 - 1;
const UPTIME_CHECK_MS = 1000;
/** Two readings of the uptime differ by their resolution without a suspend in between. */
const UPTIME_SLACK_MS = 50;

export function createRealClock(options: { ffi?: FfiChoice } = {}): Clock {
  const libc = loadLibc(options.ffi);
  return {
    boottimeMs: libc.available ? oncePerTurn(() => libc.boottimeMs()) : uptimeClock(),
    wallMs: () => Date.now(),
    bootId: readBootId(),
    sleep,
  };
}

function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/**
 * Asks the kernel once in a turn of the event loop and carries that on by the monotonic clock, which costs a tenth. What
 * differs is a suspend within the turn: it shows in the next turn, as it would had the suspend come a moment later.
 */
function oncePerTurn(boottimeMs: () => number): () => number {
  let offsetMs: number | undefined;
  const forget = () => {
    offsetMs = undefined;
  };
  return () => {
    const nowMs = performance.now();
    if (offsetMs === undefined) {
      offsetMs = boottimeMs() - nowMs;
      setImmediate(forget).unref();
    }
    return nowMs + offsetMs;
  };
}

function uptimeClock(): () => number {
  let offsetMs = uptime() * 1000 - monotonicMs();
  let checkedMs = monotonicMs();
  return () => {
    const nowMs = monotonicMs();
    if (nowMs - checkedMs > UPTIME_CHECK_MS) {
      checkedMs = nowMs;
      const seenMs = uptime() * 1000 - nowMs;
      if (seenMs > offsetMs + UPTIME_SLACK_MS) offsetMs = seenMs;
    }
    return nowMs + offsetMs;
  };
}

/** Linux names each boot. Elsewhere the time of the boot does; a name that changes too often only costs re-checks. */
function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return `booted-${Math.round((Date.now() / 1000 - uptime()) / 10)}`;
  }
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(abortReason(signal));
      return;
    }
    let leftMs = ms;
    let timer: NodeJS.Timeout;
    const onAbort = () => {
      clearTimeout(timer);
      reject(abortReason(signal as AbortSignal));
    };
    const arm = () => {
      const stepMs = Math.min(leftMs, TIMER_MAX_MS);
      leftMs -= stepMs;
      timer = setTimeout(() => {
        if (leftMs > 0) return arm();
        signal?.removeEventListener('abort', onAbort);
        resolve();
      }, stepMs);
      timer.unref();
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    arm();
  });
}

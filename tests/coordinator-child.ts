/**
 * A process of its own that holds a session, for tests that kill or stop it. Its first argument is JSON: `url`, `ttlMs`.
 * Says on stdout, a line each, when it is ready, every time it acts under its session (`act <CLOCK_BOOTTIME>`), that the
 * session was lost (`lost`), and what comes of a put under it then (`late <code>`).
 */
import { isForebayError } from '../src/core/errors.ts';
import { createRealClock } from '../src/io/real/clock.ts';
import { openCoordinator } from '../src/io/real/open-coordinator.ts';
import { createRealRandom } from '../src/io/real/random.ts';

const { url, ttlMs } = JSON.parse(process.argv[2] ?? '') as { url: string; ttlMs: number };
const say = (line: string) => void process.stdout.write(`${line}\n`);
const clock = createRealClock();
const coordinator = await openCoordinator(url, { cluster: 'test', clock, random: createRealRandom() });
const session = await coordinator.session({ ttlMs });
const put = (key: string) =>
  coordinator.transaction({ compares: [], apply: [{ put: key, value: new Uint8Array(), session: session.id }] });
await put('child');

const acting = setInterval(() => {
  const nowMs = clock.boottimeMs();
  if (nowMs < session.actUntilMs) say(`act ${nowMs}`);
}, 10);
session.lost.addEventListener('abort', () => {
  clearInterval(acting);
  say('lost');
  put('late').then(
    () => say('late ok'),
    (error: unknown) => say(`late ${isForebayError(error) ? error.code : String(error)}`),
  );
});
say('ready');

// A main loop that hangs, when told to: timers and promises wait, threads do not.
process.stdin.on('data', (data) => {
  const untilMs = clock.boottimeMs() + Number(data.toString());
  while (clock.boottimeMs() < untilMs);
});

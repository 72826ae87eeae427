import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { cpuSeconds, memoryOf, processTree } from './process-usage.ts';

test('CPU seconds of a process tree count what its children burn', async (t) => {
  const burn =
    'const end = process.cpuUsage().user + 300000; while (process.cpuUsage().user < end); console.log("burnt"); setInterval(() => {}, 1000)';
  const parent = spawn('sh', ['-c', '"$0" -e "$1"; true', process.execPath, burn], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => {
    for (const pid of processTree(parent.pid as number).reverse()) process.kill(pid, 'SIGKILL');
  });
  await once(parent.stdout, 'data');
  const used = cpuSeconds(parent.pid as number);
  assert.ok(used >= 0.3 && used < 5, `${used} s`);
  assert.equal(processTree(parent.pid as number).length, 2);
});

test('memory of this process agrees with what Node says of it', () => {
  const memory = memoryOf(process.pid);
  const said = process.memoryUsage().rss;
  assert.ok(Math.abs(memory.residentBytes - said) < said / 4, `${memory.residentBytes} against ${said}`);
  assert.ok(memory.peakBytes >= memory.anonymousBytes);
  assert.ok(memory.threads >= 1);
});

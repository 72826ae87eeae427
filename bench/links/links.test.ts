import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { requireNamespaces } from '../../tests/tools.ts';
import { Child } from '../child.ts';
import { HostAgent } from '../fan-out-read/host-agent.ts';
import { type Links, openLinks } from './links.ts';

/** Payload ÷ what the link carries: Ethernet, IP and TCP headers around 1,448 bytes. */
const PAYLOAD = 0.956;

interface Hosts extends AsyncDisposable {
  readonly links: Links;
  readonly agents: readonly HostAgent[];
}

async function hosts(shaping: 'kernel' | 'user', mbit: readonly number[]): Promise<Hosts> {
  const links = await openLinks(
    mbit.map((mbitPerS, i) => ({ name: `host-${i}`, mbitPerS })),
    { shaping },
  );
  const agents = await Promise.all(links.hosts.map((host) => HostAgent.start(host)));
  return {
    links,
    agents,
    async [Symbol.asyncDispose]() {
      for (const agent of agents) await agent.stop();
      await links[Symbol.asyncDispose]();
    },
  };
}

/** Megabits per second between two hosts. */
async function rate(to: HostAgent, source: string, forMs = 700): Promise<number> {
  const { bytes, ms } = await to.receive(source, forMs);
  return (bytes * 8) / ms / 1000;
}

/** A link gives what it is set to and never more; a busy machine may give less. */
function assertRate(measured: number, mbit: number): void {
  assert.ok(measured < mbit * 1.05, `${measured} Mbit/s over a link of ${mbit}`);
  assert.ok(measured > mbit * PAYLOAD * 0.7, `${measured} Mbit/s over a link of ${mbit}`);
}

for (const shaping of ['kernel', 'user'] as const) {
  test(`links shaped in the ${shaping === 'kernel' ? 'kernel' : 'user space'} have their rate in both directions, and a new one when told`, async (t) => {
    if (shaping === 'kernel' && !requireNamespaces(t)) return;
    await using made = await hosts(shaping, [80, 20]);
    const [fast, slow] = made.agents as [HostAgent, HostAgent];
    assertRate(await rate(fast, await slow.source()), 20);
    assertRate(await rate(slow, await fast.source()), 20);
    await made.links.hosts[1]?.setRate(60);
    assertRate(await rate(fast, await slow.source()), 60);
  });

  test(`streams that enter one host share its link (${shaping})`, async (t) => {
    if (shaping === 'kernel' && !requireNamespaces(t)) return;
    await using made = await hosts(shaping, [40, 40, 40]);
    const [to, ...from] = made.agents as [HostAgent, HostAgent, HostAgent];
    const sources = await Promise.all(from.map((agent) => agent.source()));
    const rates = await Promise.all(sources.map((source) => rate(to, source, 1000)));
    assertRate(
      rates.reduce((sum, one) => sum + one, 0),
      40,
    );
  });
}

/** Whether some process is in this network namespace. */
function isUsed(namespace: string): boolean {
  return readdirSync('/proc').some((pid) => {
    try {
      return /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/ns/net`) === namespace;
    } catch {
      return false; // ended meanwhile
    }
  });
}

const interfaces = () => readFileSync('/proc/net/dev', 'latin1').replace(/:.*/g, '');

test('nothing is left of links that are closed, nor does the machine’s own network ever change', async (t) => {
  if (!requireNamespaces(t)) return;
  const before = interfaces();
  const own: string[] = [];
  {
    await using made = await hosts('kernel', [100, 100]);
    for (const host of made.links.hosts) {
      const [command, args] = host.commandLine('readlink', ['/proc/self/ns/net']);
      own.push(execFileSync(command, [...args], { encoding: 'utf8' }).trim());
    }
    assert.equal(new Set(own).size, 2);
    assert.ok(own.every(isUsed));
    assert.equal(interfaces(), before);
  }
  assert.ok(!own.some(isUsed));
  assert.equal(interfaces(), before);
});

test('nothing is left when the process that made the links is killed', async (t) => {
  if (!requireNamespaces(t)) return;
  const source = `
    import { openLinks } from ${JSON.stringify(join(import.meta.dirname, 'links.ts'))};
    import { HostAgent } from ${JSON.stringify(join(import.meta.dirname, '../fan-out-read/host-agent.ts'))};
    const links = await openLinks([{ name: 'a', mbitPerS: 10 }], { shaping: 'kernel' });
    await HostAgent.start(links.hosts[0]);
    const [command, args] = links.hosts[0].commandLine('readlink', ['/proc/self/ns/net']);
    (await import('node:child_process')).spawn(command, args, { stdio: 'inherit' });`;
  const child = await Child.start(process.execPath, ['--input-type=module', '-e', source]);
  const [line] = (await once(createInterface({ input: child.process.stdout as NodeJS.ReadableStream }), 'line')) as [
    string,
  ];
  assert.ok(isUsed(line));
  await child.kill();
  // The kernel ends the others right after; there is no event to wait for.
  while (isUsed(line)) await new Promise((resolve) => setImmediate(resolve));
});

/** `forebay doctor`: what of this machine, the configuration and the origins stands in the way. Exit 1 when something fails. */
import { isForebayError } from '../core/errors.ts';
import type { Config } from '../node/config.ts';
import { diagnoseCluster } from '../node/doctor-cluster.ts';
import { diagnoseDisk } from '../node/doctor-disk.ts';
import { diagnoseKv } from '../node/doctor-kv.ts';
import { diagnoseMachine } from '../node/doctor-machine.ts';
import { diagnoseOrigins, diagnosePorts } from '../node/doctor-network.ts';
import { type Finding, fail, warn } from '../node/finding.ts';
import { DONE, FAILED } from './failure.ts';
import { type Output, printable } from './output.ts';
import { type CommonOptions, configOf, surroundings } from './session.ts';

export async function doctor(_: readonly string[], options: CommonOptions, output: Output): Promise<number> {
  const findings: Finding[] = [];
  const tell = (found: readonly Finding[]): void => {
    findings.push(...found);
    if (!output.json) for (const finding of found) print(finding, output);
  };
  const here = surroundings();
  const config = await readConfig(options, tell);
  tell(await diagnoseMachine(config, here));
  if (config) {
    tell(await diagnoseDisk(config));
    tell(await diagnosePorts(config));
    tell(await diagnoseOrigins(config, here));
    tell(await diagnoseCluster(config));
    tell(diagnoseKv(config));
    if (config.volumes.length === 0)
      tell([
        warn(
          'volumes',
          'there is none',
          'Write [volumes.NAME] with an origin in forebay.toml, or give --volume NAME=ORIGIN.',
        ),
      ]);
  }
  const failed = findings.filter(({ level }) => level === 'fail').length;
  const warned = findings.filter(({ level }) => level === 'warn').length;
  if (output.json) output.object({ ok: failed === 0, findings });
  else output.line(`${findings.length} checks: ${failed} failed, ${warned} warnings`);
  return failed > 0 ? FAILED : DONE;
}

async function readConfig(
  options: CommonOptions,
  tell: (found: readonly Finding[]) => void,
): Promise<Config | undefined> {
  try {
    return await configOf(options);
  } catch (error) {
    if (!isForebayError(error, 'config')) throw error;
    tell(
      error.message
        .split('\n')
        .map((line) => fail('configuration', line, 'Correct it; the checks that need it are left out.')),
    );
    return undefined;
  }
}

function print({ check, level, text, hint }: Finding, output: Output): void {
  output.line(`${level.padEnd(4)}  ${check}: ${printable(text)}`);
  if (hint !== undefined) output.line(`      ${hint}`);
}

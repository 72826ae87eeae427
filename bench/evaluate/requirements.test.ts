import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ForebayError } from '../../src/core/errors.ts';
import { recommend } from './recommendation.ts';
import { judgeRequirements, parseRequirements, readiness } from './requirements.ts';
import { buildResults, USUAL } from './results-builder.ts';

const FILE = `
[must-have]
survives-node-loss = 0
origin-read-once = true
speaks = ["s3", "path"]

[targets.fan-out-read]
makespanS = 10

[scale]
nodes = 8
`;

const judged = (text: string, results = buildResults()) =>
  judgeRequirements(parseRequirements('requirements.toml', text), results);
const states = (text: string, candidate: string, results = buildResults()) =>
  Object.fromEntries(judged(text, results).lines.map(({ id, verdicts }) => [id, verdicts[candidate]?.state]));

test('each line is green, red or unknown, per candidate', () => {
  assert.deepEqual(states(FILE, 'forebay'), {
    'must-have.survives-node-loss': 'green',
    'must-have.origin-read-once': 'green',
    'must-have.speaks.s3': 'green',
    'must-have.speaks.path': 'green',
    'targets.fan-out-read.makespanS': 'green',
    'scale.nodes': 'green',
  });
  assert.deepEqual(states(FILE, 'rclone mount'), {
    'must-have.survives-node-loss': 'red',
    'must-have.origin-read-once': 'red',
    'must-have.speaks.s3': 'unknown',
    'must-have.speaks.path': 'green',
    'targets.fan-out-read.makespanS': 'red',
    'scale.nodes': 'green',
  });
  const documented = states(FILE, 'Alluxio');
  assert.equal(documented['must-have.origin-read-once'], 'unknown');
  assert.equal(documented['targets.fan-out-read.makespanS'], 'unknown');
});

test('a bound on the exposure after the acknowledgement is kept by an async copy that is quick enough', () => {
  assert.equal(states('[must-have]\nsurvives-node-loss = 30\n', 'async-copy')['must-have.survives-node-loss'], 'green');
  assert.equal(states('[must-have]\nsurvives-node-loss = 1\n', 'async-copy')['must-have.survives-node-loss'], 'red');
});

test('what was measured smaller than wanted is unknown, and so is a target that a busy machine missed', () => {
  assert.equal(states('[scale]\nnodes = 64\n', 'forebay')['scale.nodes'], 'unknown');
  assert.equal(states('[scale.bytes]\nfan-out-read = "140GB"\n', 'forebay')['scale.bytes.fan-out-read'], 'unknown');
  assert.equal(states('[scale.bytes]\nfan-out-read = "1MiB"\n', 'forebay')['scale.bytes.fan-out-read'], 'green');
  const candidates = USUAL.map((one) =>
    one.name === 'origin' ? { ...one, 'fan-out-read': { ...one['fan-out-read'], isBusy: true } } : one,
  );
  const busy = buildResults({ candidates });
  assert.equal(
    states('[targets.fan-out-read]\nmakespanS = 10\n', 'origin', busy)['targets.fan-out-read.makespanS'],
    'unknown',
  );
});

test('every verdict with a figure names figures that are in the results', () => {
  const results = buildResults();
  const ids = new Set(results.figures.map(({ id }) => id));
  for (const { verdicts } of judged(FILE, results).lines)
    for (const { figures } of Object.values(verdicts)) for (const id of figures) assert.ok(ids.has(id), id);
});

test('one line says whether to engage, and why not', () => {
  const results = buildResults();
  const all = judged(FILE, results);
  const yes = readiness(all, recommend(results, all));
  assert.equal(yes.isReady, true);
  assert.match(yes.text, /^ready to engage: yes, because forebay is recommended and all 6 lines are green/);
  const large = judged(`${FILE.replace('nodes = 8', 'nodes = 64')}`, results);
  assert.match(
    readiness(large, recommend(results, large)).text,
    /^ready to engage: no, because for forebay "64 nodes" is unknown/,
  );
  const none = buildResults({ candidates: USUAL.slice(2, 3) });
  assert.match(readiness(judged(FILE, none), recommend(none)).text, /no, because there is no recommendation/);
  assert.match(readiness(judged('', results), recommend(results)).text, /no requirement says what ready means/);
});

test('bad files get complaints with line, key and what to write', () => {
  const complaint = (text: string) => {
    try {
      parseRequirements('r.toml', text);
    } catch (error) {
      assert.ok(error instanceof ForebayError && error.code === 'config');
      return error.message;
    }
    return assert.fail(`accepted: ${text}`);
  };
  assert.match(
    complaint('[targets.fan-out-read]\nmakespan = 3\n'),
    /^r\.toml:2: targets\.fan-out-read\.makespan: unknown key; did you mean makespanS\?/,
  );
  assert.match(complaint('[target]\n'), /r\.toml:1: target: unknown key; did you mean targets\?/);
  assert.match(
    complaint('[must-have]\norigin-read-once = "yes"\n'),
    /r\.toml:2: must-have\.origin-read-once: expected boolean, got "yes"/,
  );
  assert.match(
    complaint('[must-have]\nspeaks = ["s4"]\n'),
    /r\.toml:2: must-have\.speaks\[1\]: expected "s3" or "path" or "azure" or "resp", got "s4"/,
  );
  assert.match(complaint('[targets.fan-out-read]\nmakespanS = -1\n'), /expected a number above 0/);
  assert.match(
    complaint('[scale.bytes]\nfan-out-read = "much"\n'),
    /expected a size, got "much"; write it like "140GB"/,
  );
  assert.match(complaint('[must-have\n'), /r\.toml:1:\d+: not TOML/);
  assert.match(
    complaint('[targets.fan-out-read]\nmakespanS = "x"\nfoo = 1\n'),
    /foo[\s\S]*makespanS|makespanS[\s\S]*foo/,
  );
});

/** The table of DESIGN.md section 15: who may import whom, and which package may be used where. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';

/** Folder → folders that it may import, besides itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'src/core': [],
  'src/observe': ['src/core'],
  'src/io': ['src/core', 'src/observe'],
  'src/store': ['src/core', 'src/observe', 'src/io'],
  'src/mover': ['src/core', 'src/observe', 'src/io'],
  'src/origin': ['src/core', 'src/observe', 'src/io'],
  'src/cluster': ['src/core', 'src/observe', 'src/io', 'src/store', 'src/mover', 'src/origin'],
  'src/read': ['src/core', 'src/observe', 'src/io', 'src/store', 'src/mover', 'src/origin', 'src/cluster'],
  'src/write': ['src/core', 'src/observe', 'src/io', 'src/store', 'src/mover', 'src/origin', 'src/cluster'],
  'src/drain': [
    'src/core',
    'src/observe',
    'src/io',
    'src/store',
    'src/mover',
    'src/origin',
    'src/cluster',
    'src/write',
  ],
  'src/adopt': ['src/core', 'src/observe', 'src/io', 'src/write'],
  'src/kv': ['src/core', 'src/observe', 'src/io', 'src/store', 'src/mover', 'src/cluster'],
  'src/front': ['src/core', 'src/observe', 'src/io', 'src/read', 'src/write', 'src/adopt', 'src/drain', 'src/kv'],
  'src/node': ['*src'],
  'src/cli': ['*src'],
  'src/main.ts': ['src/cli'],
  sim: ['*src'],
  bench: ['*src', 'sim'],
  room: ['src/core', 'bench'],
  tests: ['*'],
  scripts: ['*'],
};

/** Third-party package → folders that may import it. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  '@azure/storage-blob': ['src/origin'],
  '@azure/identity': ['src/origin'],
  '@aws-sdk/client-s3': ['src/origin'],
  'fast-xml-parser': ['src/front'],
  'prom-client': ['src/observe'],
  pino: ['src/observe'],
  zod: ['src/node', 'src/front'],
  'smol-toml': ['src/node'],
  commander: ['src/cli'],
};

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\b[^;'"]*?from\s*['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)|(?:^|\n)\s*import\s*['"]([^'"]+)['"]/g;

function layerOf(path: string): string {
  if (path === 'src/main.ts') return path;
  const parts = path.split('/');
  return parts[0] === 'src' ? parts.slice(0, 2).join('/') : (parts[0] as string);
}

function importsOf(path: string): string[] {
  const text = readFileSync(path, 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
  return [...text.matchAll(IMPORT)].map((match) => (match[1] ?? match[2] ?? match[3]) as string);
}

function isAllowed(from: string, to: string): boolean {
  if (from === to) return true;
  const allowed = MAY_IMPORT[from] ?? [];
  return allowed.includes(to) || allowed.includes('*') || (allowed.includes('*src') && to.startsWith('src/'));
}

test('imports point down only, and packages stay in their folders', () => {
  const wrong: string[] = [];
  for (const path of globSync('{src,sim,bench,room,scripts}/**/*.ts').sort()) {
    const from = layerOf(path);
    const isTest = path.endsWith('.test.ts');
    if (!(from in MAY_IMPORT)) wrong.push(`${path}: folder ${from} is not in the table`);
    for (const specifier of importsOf(path)) {
      if (specifier.startsWith('node:')) {
        if (specifier === 'node:ffi' && !path.startsWith('src/io/real/'))
          wrong.push(`${path}: node:ffi stays in src/io/real`);
      } else if (specifier.startsWith('.')) {
        const to = layerOf(normalize(join(dirname(path), specifier)));
        const testMay = isTest && (to === 'sim' || to === 'tests');
        if (!testMay && !isAllowed(from, to)) wrong.push(`${path}: ${from} may not import ${to} (${specifier})`);
      } else if (!isTest) {
        const name = specifier
          .split('/')
          .slice(0, specifier.startsWith('@') ? 2 : 1)
          .join('/');
        const folders = PACKAGES[name];
        if (from.startsWith('src') && !folders?.some((folder) => path.startsWith(`${folder}/`)))
          wrong.push(`${path}: package ${name} is not allowed in ${from}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});

test('io has its effects: nothing above it reaches disks, clocks or randomness by itself', () => {
  const wrong: string[] = [];
  const forbidden =
    /node:(fs|fs\/promises|worker_threads|child_process|timers|timers\/promises)['"]|\bDate\.now\(|\bperformance\.now\(|\bMath\.random\(|\bsetTimeout\(|\bsetInterval\(|\bnew Date\(\)/;
  for (const path of globSync('src/{core,store,mover,origin,cluster,read,write,drain,kv}/**/*.ts')) {
    if (path.endsWith('.test.ts')) continue;
    const text = readFileSync(path, 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    const match = forbidden.exec(text);
    if (match) wrong.push(`${path}: ${match[0]}`);
  }
  assert.deepEqual(wrong, []);
});

test('file names and sizes follow the style', () => {
  const wrong = globSync('{src,sim,bench,room,scripts,tests}/**/*.ts')
    .map((path) => ({ path, lines: readFileSync(path, 'utf8').split('\n').length }))
    .filter(({ path, lines }) => lines > 500 || /(^|[/-])(util|utils|helper|helpers|manager|impl)(\.|-|\/)/.test(path));
  assert.deepEqual(wrong, []);
});

/** A small room with something of everything, as files for tests of its pages. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAYAAACNMs+9AAAAFUlEQVR42mNk+M9Qz0AEYBxVSF+FABJADveWkH6oAAAAAElFTkSuQmCC',
  'base64',
);

export function resultOf(date: string, median: number): unknown {
  return {
    scenario: 'fan-out-read',
    environment: {
      date,
      commit: 'abc',
      node: 'v26',
      kernel: '6.18',
      cores: 2,
      cpu: 'a cpu',
      memoryGiB: 8,
      fileSystem: 'ext4',
    },
    parameters: { nodes: 8 },
    figures: {
      efficiency: {
        median,
        low: median - 0.02,
        high: median + 0.02,
        unit: '',
        verdict: 'met',
        target: { atLeast: 0.9 },
        beside: 'of the floor',
      },
      lastNodeS: { median: 12 * median, low: 11 * median, high: 13 * median, unit: 's', verdict: 'shown' },
    },
    trials: { rounds: [] },
  };
}

const FILES: Readonly<Record<string, string>> = {
  'README.md': `---
title: The question
tags: [evaluation, cache]
date: 2026-11-20
owner: "[[people/Ada Lovelace]]"
---
# The question

Which cache in front of Blob? See [[One cache]], [[One cache|the decision]], [[One cache#Why not two]], [the plan](plans/Plan%20%C3%BC.md#steps) and
[[Silk]] which is [[still unwritten]]. A [site](https://example.com/) and a [trap](javascript:alert(1)) #question

![[diagram.png]] ![remote](https://example.com/x.png)

<script>alert('x')</script> <b>not bold</b>

| system | writes |
| --- | --- |
| BlobFuse2 | [[One cache\\|decided]] |

\`\`\`tasks
not done
path includes plans
\`\`\`

\`\`\`tasks
not done
frobnicate the list
\`\`\`

\`\`\`sh
forebay room notes
\`\`\`
`,
  'decisions/One cache.md': `---
tags: decision
date: 2026-11-22
status: accepted
---
# One cache

One for all three. Back to [[README]] and to [[Silk]].

## Why not two

Two cost twice.

### In figures

See the runs.
`,
  'plans/Plan ü.md': `# Plan

## Steps

- [ ] measure the writes #bench 📅 2026-12-01
- [x] write [[One cache]]
  - [ ] and tell *everyone*
- no task
`,
  'people/Ada Lovelace.md': '# Ada Lovelace\n\nOwner. Circle: [[Circle A]].\n',
  'Circle A.md': '[[Circle B]]\n',
  'Circle B.md': '[[Circle A]]\n',
  'broken.md': '---\ntitle: [never closed\ntags: a: b\n---\n# Broken head\n\nThe text is shown.\n',
  'same.md': '# Same, at the top\n',
  'below/same.md': '# Same, below\n\n[[same]]\n',
  'other/asks.md': '[[same]] and [[../../etc/passwd]] and [[..]]\n',
  'a.html/inside.md': '# Inside a folder with the name of a page\n',
  'a.md': '# Beside it\n',
  'odd #1 100% ?&"\'.md': '# Odd name\n\n[[README]]\n',
  'runs/first.json': JSON.stringify(resultOf('2026-11-20T10:00:00Z', 0.91)),
  'runs/second.json': JSON.stringify(resultOf('2026-11-21T10:00:00Z', 0.94)),
  'runs/third.json': JSON.stringify(resultOf('2026-11-22T10:00:00Z', 0.955)),
  'runs/half.json': '{"figures": {',
  'outside.txt': 'nobody links here',
};

/** Makes it below `directory`; `elsewhere` is a folder out of it that links lead to. */
export function makeExampleRoom(directory: string, elsewhere: string): void {
  const write = (path: string, content: string | Buffer) => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  };
  for (const [path, content] of Object.entries(FILES)) write(join(directory, path), content);
  write(join(directory, 'pictures', 'diagram.png'), PIXEL);
  write(join(elsewhere, 'secret.md'), '# Secret\n');
  symlinkSync(join(elsewhere, 'secret.md'), join(directory, 'link.md'));
  symlinkSync(elsewhere, join(directory, 'linked'));
  symlinkSync('.', join(directory, 'itself'));
}

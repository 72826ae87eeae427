/** The frame of a page of the report: one file, no script, nothing from elsewhere; light, dark, phone and paper. */

const ESCAPES: Readonly<Record<string, string>> = {
  '<': '&lt;',
  '>': '&gt;',
  '&': '&amp;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text as it may stand in content and in quoted attributes. Names and reasons come from whoever wrote the evaluation. */
export const escapeHtml = (text: string): string =>
  text.replace(/[<>&"']/g, (character) => ESCAPES[character] as string);

/** A name as the id of an element: what an id or a fragment may not hold is spelt out. */
export const anchorOf = (id: string): string =>
  `figure-${id.replace(/[^A-Za-z0-9/-]/g, (character) => `_${character.codePointAt(0)?.toString(16)}_`)}`;

const STYLE = `
:root{color-scheme:light dark;--back:#fff;--ink:#1b1f24;--soft:#545d66;--line:#c9d0d6;--band:#f3f5f7;--link:#0b57a4;--good:#1a6e31;--bad:#ad1f14;--open:#7a4f00}
@media(prefers-color-scheme:dark){:root{--back:#14171a;--ink:#e6e8ea;--soft:#a9b1ba;--line:#3d454d;--band:#1d2226;--link:#83bbff;--good:#6bd483;--bad:#ff9389;--open:#e9bd55}}
*{box-sizing:border-box}
body{margin:0;overflow-wrap:break-word;background:var(--back);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
header,main,footer{max-width:60rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:2rem}footer{padding-bottom:3rem;color:var(--soft)}
h1{font-size:1.7rem;line-height:1.25;margin:0 0 .5rem}h2{font-size:1.25rem;margin:2.2rem 0 .6rem}h3{font-size:1.05rem;margin:1.6rem 0 .4rem}
a{color:var(--link);text-decoration:underline;text-underline-offset:.15em}
.answer{border-left:.35rem solid var(--soft);background:var(--band);padding:.9rem 1.1rem;font-size:1.15rem;margin:1rem 0}
.answer.recommended{border-color:var(--good)}.answer.inconclusive,.answer.nobody{border-color:var(--open)}.answer p{margin:.2rem 0}
.soft{color:var(--soft)}.green{color:var(--good);font-weight:600}.red{color:var(--bad);font-weight:600}.unknown{color:var(--open);font-weight:600}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.88rem;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem .35rem 0;border-bottom:1px solid var(--line)}
thead th{border-bottom-width:2px}tr.front{background:var(--band)}
:target{outline:2px solid var(--link);outline-offset:2px}
h4{font-size:1rem;margin:1.2rem 0 .3rem}figure{margin:1rem 0}figcaption{color:var(--soft);font-size:.9rem}
svg{display:block;max-width:100%;height:auto}td a,td .soft{overflow-wrap:normal}td a[data-figure]{white-space:nowrap}.why a[data-figure]{white-space:normal}.one{display:inline-block}svg text{fill:var(--ink)}svg path[stroke="#333"]{stroke:var(--ink)}
pre{background:var(--band);padding:.7rem .9rem;overflow-x:auto;font-size:.88rem}
ul{padding-left:1.2rem}li{margin:.2rem 0}
summary{cursor:pointer;font-weight:600}
@media(max-width:36rem){body{font-size:15px}h1{font-size:1.35rem}.answer{font-size:1.05rem}svg{max-width:none;width:34rem}table{min-width:36rem}}
@page{size:A4;margin:10mm 12mm}
@media print{
:root{color-scheme:light;--back:#fff;--ink:#000;--soft:#444;--line:#bbb;--band:#f3f5f7;--link:#000;--good:#1a6e31;--bad:#ad1f14;--open:#7a4f00}
body{font-size:8pt;line-height:1.28}header,main,footer{max-width:none;padding:0}
h1{font-size:14pt}h2{font-size:11pt;margin:8pt 0 3pt}h3{font-size:9.5pt;margin:6pt 0 2pt}h4{font-size:8pt;margin:4pt 0 1pt}h2,h3,h4{break-after:avoid}
p,ul,pre{margin:3pt 0}li{margin:1pt 0}.answer{font-size:10.5pt;padding:5pt 8pt;margin:5pt 0}
table{font-size:7pt;line-height:1.2}th,td{padding:1.2pt 5pt 1.2pt 0}.run-in{padding:0}.run-in li{display:inline}.facts ul{padding-left:8pt;margin:1pt 0}.facts ul.run-in{padding:0}.facts p{margin:1pt 0}tr,figure{break-inside:avoid}.scroll{overflow:visible}
a{text-decoration:none}figure{margin:3pt 0}figcaption{font-size:7.4pt}td{overflow-wrap:break-word}
.plots{display:grid;grid-template-columns:1fr 1fr;gap:2mm 6mm}.plots figure:nth-child(2){grid-column:2;grid-row:span 2}.facts{columns:3;column-gap:5mm;font-size:6.9pt;line-height:1.25}.screen{display:none}
}`;

export interface Page {
  readonly title: string;
  /** Above everything: the question. */
  readonly header: string;
  readonly main: string;
  readonly footer: string;
}

/** All but the title is HTML. */
export function htmlPage({ title, header, main, footer }: Page): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
${header}
</header>
<main>
${main}
</main>
<footer>
${footer}
</footer>
</body>
</html>
`;
}

/** A table that scrolls by itself on a phone. `head` is text, rows are cells as HTML with their own tags. */
export function htmlTable(
  label: string,
  head: readonly string[],
  rows: readonly { readonly cells: readonly string[]; readonly isFront?: boolean }[],
): string {
  const columns = head.map((cell) => `<th scope="col">${escapeHtml(cell)}</th>`).join('');
  const body = rows
    .map(({ cells, isFront }) => `<tr${isFront ? ' class="front"' : ''}>${cells.join('')}</tr>`)
    .join('\n');
  return `<div class="scroll" role="region" tabindex="0" aria-label="${escapeHtml(label)}">
<table><thead><tr>${columns}</tr></thead>
<tbody>
${body}
</tbody></table>
</div>`;
}

export const rowHead = (text: string): string => `<th scope="row">${escapeHtml(text)}</th>`;
export const cell = (html: string, attributes = ''): string => `<td${attributes}>${html}</td>`;

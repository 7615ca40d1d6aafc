"""Style sheet of reports: light and dark screens, narrow screens, print."""

STYLE = """
:root { color-scheme: light dark; --ink: #111827; --soft: #4b5563; --line: #e5e7eb; --page: #fff; --box:
  #f6f8fa;
  --warn: #fff7ed; --edge: #D55E00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e5e7eb; --soft: #a3acb9; --line: #374151; --page:
  #111827;
  --box: #1f2937; --warn: #3a2413; } img { border-radius: .5rem; padding: .5rem; background: #fff; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; color: var(--ink);
  background: var(--page); max-width: 68rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .2rem; letter-spacing: -.01em; overflow-wrap:
  anywhere; }
h2 { font-size: 1.15rem; margin: 2.6rem 0 .8rem; padding-top: .9rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
h2 + h3 { margin-top: .8rem; }
p.lead, .note, .unit { color: var(--soft); }
p.lead { margin: 0 0 1.4rem; }
p.verdict { font-size: 1.1rem; margin: 0 0 1rem; }
.panels { margin-top: .7rem; }
.note { font-size: .87rem; margin: .4rem 0 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(12.5rem, 1fr)); gap: .9rem; }
.card { border: 1px solid var(--line); border-radius: .6rem; padding: .9rem 1.1rem; }
.card h2 { border: 0; margin: 0 0 .3rem; padding: 0; font-size: .9rem; color: var(--soft); }
.card dl { display: grid; grid-template-columns: auto 1fr; gap: 0 .7rem; margin: 0; align-items: baseline; }
.card dt { color: var(--soft); font-size: .85rem; }
.card dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
.card dd.main { font-size: 1.75rem; font-weight: 650; letter-spacing: -.02em; line-height: 1.25; }
.card dd .unit { font-size: .9rem; font-weight: 400; letter-spacing: 0; white-space: nowrap; }
.panels { display: grid; gap: 1.2rem 1.4rem; grid-template-columns: repeat(auto-fill, minmax(min(100%,
  19rem), 1fr)); }
.panels img { width: 100%; height: auto; display: block; }
.wide img { width: 100%; max-width: 46rem; height: auto; display: block; margin: .7rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: .3rem .55rem; text-align: right; border-bottom: 1px solid var(--line); }
thead th { white-space: nowrap; }
thead tr.only th { white-space: normal; overflow-wrap: break-word; max-width: 16rem; }
table.slim { width: auto; min-width: 20rem; }
thead th { font-weight: 600; color: var(--soft); vertical-align: bottom; }
thead th[colspan] { text-align: center; border-bottom: 0; padding-bottom: 0; line-height: 1.25; }
tr > th[rowspan]:first-child, tr.only > th:first-child, tbody th { text-align: left; }
tbody th { font-weight: 400; overflow-wrap: anywhere; min-width: 7rem; }
table.facts th { color: var(--soft); width: 12rem; vertical-align: top; }
table.facts td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
.key::before { content: ""; display: inline-block; width: 1.4em; height: 0; margin: 0 .4em .25em 0;
  border-top: 2px var(--style, solid) var(--color); }
.key { margin-right: 1.2em; white-space: nowrap; }
summary { cursor: pointer; font-weight: 600; margin: 1rem 0 .6rem; }
pre { background: var(--box); border-radius: .5rem; padding: .9rem 1.1rem; overflow-x: auto; font-size:
  .88rem; }
ul.warnings { background: var(--warn); border-left: 4px solid var(--edge); border-radius: .3rem; margin: 0;
  padding: .7rem 1rem .7rem 2rem; overflow-wrap: anywhere; }
@media (max-width: 40rem) { body { padding: 1.25rem .9rem 3rem; } th, td { padding: .3rem; font-size: .8rem; }
  .wide { overflow-x: auto; } .wide img { min-width: 34rem; }
  .card { padding: .8rem; } .card dd.main { font-size: 1.5rem; } tbody th { min-width: 5rem; }
  table.facts th { width: 7.5rem; min-width: 0; }
  table.stack, table.stack tbody, table.stack tr { display: block; min-width: 0; }
  table.stack thead { display: none; }
  table.stack tr { border-bottom: 1px solid var(--line); padding: .5rem 0; }
  table.stack th { display: block; border: 0; font-weight: 600; padding: .1rem 0; }
  table.stack td { display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: .1rem 0; }
  table.stack td::before { content: attr(data-label); color: var(--soft); overflow-wrap: anywhere;
  text-align: left; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; } }
@media print { :root { color-scheme: light; --ink: #111827; --soft: #4b5563; --line: #e5e7eb; --page: #fff;
  --box: #f6f8fa; --warn: #fff7ed; } body { max-width: none; padding: 0; font-size: 11px; }
  h2, h3 { break-after: avoid; } tr, img, .card, pre { break-inside: avoid; } .panels { display: flex;
  flex-wrap: wrap; }
  .panels img { width: 31%; } pre { white-space: pre-wrap; } }
"""

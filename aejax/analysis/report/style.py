"""The look of a report: light and dark, on a phone, a desk and paper; pictures always on white."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1b1b1b; --muted: #5c5c5c; --line: #d9d9d4; --soft: #f4f4f0; --accent: #00568a;
}
@media screen and (prefers-color-scheme: dark) {
  :root { --paper: #17191b; --ink: #e6e6e3; --muted: #a5a8a8; --line: #3a3d40; --soft: #222528; --accent: #7cc0ec; }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1rem clamp(1rem, 4vw, 2.5rem) 4rem; max-width: 60rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: break-word;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1rem 0; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .3rem; padding-top: .6rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
a { color: var(--accent); }
nav ul { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; list-style: none; margin: 0; padding: 0; }
.question { color: var(--muted); font-style: italic; margin: 0 0 1rem; }
.note { color: var(--muted); font-size: .85rem; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .6rem 1.5rem; margin: 1rem 0; }
dt { color: var(--muted); font-size: .8rem; }
dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 1rem 0; background: #ffffff; border: 1px solid var(--line); border-radius: 4px; padding: .4rem; }
img { display: block; max-width: 100%; height: auto; margin: 0 auto; background: #ffffff; color: #1b1b1b; }
.told { padding-left: 1.2rem; }
.told li { margin: .25rem 0; }
.told .deeper { list-style: none; margin-left: 1rem; }
pre { margin: .6rem 0; padding: .6rem .8rem; background: var(--soft); border-radius: 4px; overflow-x: auto; }
pre, code { font: .82rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.command { white-space: pre-wrap; overflow-wrap: anywhere; }
.command span { display: inline-block; max-width: 100%; }
.command code { user-select: all; -webkit-user-select: all; }
details { margin: .6rem 0; }
summary { cursor: pointer; color: var(--accent); }
details pre { max-height: 30rem; overflow: auto; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .9rem .25rem 0; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child { text-align: left; font-weight: normal; }
thead th { color: var(--muted); font-weight: normal; font-size: .8rem; }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav, details { display: none; }
  h2 { break-after: avoid; }
  figure, table, pre { break-inside: avoid; }
  img { max-height: 22cm; width: auto; }
}
"""

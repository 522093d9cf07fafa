"use strict";
const content = JSON.parse(document.getElementById("gallery-data").textContent);
const examples = content.rows.map((row, i) =>
  Object.fromEntries([["picture", content.pictures[i]], ...content.columns.map((name, c) => [name, row[c]])]));
const decisions = new Map();  // the true label, by id
const AT_ONCE = 48;
const ORDERS = {
  suspicious: (a, b) => a.label_score - b.label_score,
  trusted: (a, b) => b.label_score - a.label_score,
  given: (a, b) => a.given_label.localeCompare(b.given_label) || a.label_score - b.label_score,
  suggested: (a, b) => a.suggested_label.localeCompare(b.suggested_label) || a.label_score - b.label_score,
};
const [given, suggested, search, order, more, count, cards, saved] =
  ["given", "suggested", "search", "order", "more", "count", "cards", "save-decisions"].map((id) => document.getElementById(id));
let found = [], shown = 0;

function element(name, text, className) {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function choices(select, values, chosen) {
  for (const [value, text] of values) select.add(new Option(text, value, false, value === chosen));
}

function card(example) {
  const item = element("li", "");
  const picture = element("img", "");
  picture.src = example.picture;
  picture.alt = `given ${example.given_label}, suggested ${example.suggested_label}`;
  picture.onload = () => picture.classList.toggle("photo", picture.naturalWidth > 64);
  const labels = element("span", "");
  labels.append(element("span", example.given_label, "given"), " → ", element("span", example.suggested_label, "suggested"));
  const decision = element("select", "");
  decision.setAttribute("aria-label", `Decision on ${example.path || example.id}`);
  const others = content.classes.filter((name) => name !== example.given_label && name !== example.suggested_label);
  choices(decision, [["", "decide…"], [example.suggested_label, `accept suggestion: ${example.suggested_label}`],
    [example.given_label, `keep given: ${example.given_label}`], ...others.map((name) => [name, `it is ${name}`])],
    decisions.get(example.id));
  decision.onchange = () => decide(example.id, decision.value);
  const where = element("span", example.path ? example.path.split("/").pop() : `id ${example.id}`, "where");
  where.title = example.path;
  item.append(picture, labels, element("span", `label score ${example.label_score.toFixed(3)}`), where, decision);
  return item;
}

function decide(id, label) {
  if (label) decisions.set(id, label);
  else decisions.delete(id);
  saved.disabled = !decisions.size;
  saved.textContent = `Decisions (${decisions.size})`;
}

function showMore() {
  cards.append(...found.slice(shown, shown + AT_ONCE).map(card));
  shown = Math.min(shown + AT_ONCE, found.length);
  count.textContent = `${shown.toLocaleString("en")} of ${found.length.toLocaleString("en")} shown`;
  more.hidden = shown === found.length;
}

function find() {
  const part = search.value.trim().toLowerCase();
  found = examples.filter((e) => (!given.selectedIndex || e.given_label === given.value)
    && (!suggested.selectedIndex || e.suggested_label === suggested.value)
    && (!part || `${e.id} ${e.path}`.toLowerCase().includes(part))).sort(ORDERS[order.value]);
  shown = 0;
  cards.replaceChildren();
  showMore();
}

function download(name, blob) {
  const link = element("a", "");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

async function saveIssues() {
  const bytes = Uint8Array.from(atob(content.csv), (c) => c.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  download("label_issues.csv", await new Response(unpacked, { headers: { "Content-Type": "text/csv" } }).blob());
}

function saveDecisions() {
  const cell = (value) => `"${String(value).replaceAll('"', '""')}"`;
  const rows = examples.filter((e) => decisions.has(e.id)).map((e) => {
    const label = decisions.get(e.id), kept = label === e.given_label;
    const row = [e.id, e.path, e.given_label, kept ? "keep" : "relabel", kept ? "" : label, content.run, content.dataset];
    return row.map(cell).join(",");
  });
  const lines = ["id,path,given_label,decision,label,run,dataset", ...rows];
  download("decisions.csv", new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
}

for (const select of [given, suggested]) choices(select, content.classes.map((name) => [name, name]));
for (const control of [given, suggested, order]) control.onchange = find;
search.oninput = find;
more.onclick = showMore;
saved.onclick = saveDecisions;
document.getElementById("save-issues").onclick = saveIssues;
find();

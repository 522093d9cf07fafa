// Decisions by id: {decision, label}; the label is a class number where the decision is relabel.
// The browser keeps them under the identity of the run, together with the time they took.
const WORDS = ["keep", "relabel", "drop", "unsure"];
const COLUMNS = ["id", "path", "given_label", "decision", "label", "run", "dataset"];
const PLACE = `review ${facts.dataset} ${facts.run}`;
const LONGEST_PAUSE = 60;  // seconds; a longer one is not work
const decisions = new Map(), past = [];
let seconds = 0, looks = 0, lastLook = Date.now();

const keep = { decision: "keep" }, drop = { decision: "drop" }, unsure = { decision: "unsure" };
const suggestion = ({ given, suggested }, label = suggested) => label === given ? keep : { decision: "relabel", label };

function describe(decision, { given }) {
  return { keep: `kept: ${nameOf(given)}`, relabel: `is ${nameOf(decision.label)}`, drop: "not any class", unsure: "can't tell" }[decision.decision];
}

// Applies [id, decision] pairs, undefined for none, as one step that can be undone.
function decide(changes, looked = false) {
  past.push(changes.map(([id]) => [id, decisions.get(id)]));
  if (looked) {
    seconds += Math.min((Date.now() - lastLook) / 1000, LONGEST_PAUSE);
    looks += 1;
  }
  lastLook = Date.now();
  apply(changes);
}

function undo() {
  const changes = past.pop();
  if (!changes) return say("There is nothing to undo.");
  apply(changes);
  say(`Undone: ${counted(changes.length, "decision")}.`);
  return changes[0][0];
}

function apply(changes) {
  for (const [id, decision] of changes) {
    if (decision) decisions.set(id, decision);
    else decisions.delete(id);
  }
  store();
  changes.forEach(([id]) => refresh(id));
  showProgress();
}

function store() {
  const rows = [...decisions].map(([id, { decision, label }]) => [id, decision, label]);
  try {
    localStorage.setItem(PLACE, JSON.stringify({ rows, seconds, looks }));
  } catch {
    byId("storage").textContent = "This browser does not keep decisions: save them before you close the page.";
  }
}

function restore() {
  try {
    const kept = JSON.parse(localStorage.getItem(PLACE));
    if (!kept) return;
    for (const [id, decision, label] of kept.rows) {
      if (exampleOf.has(id)) decisions.set(id, decision === "relabel" ? { decision, label } : { decision });
    }
    ({ seconds, looks } = kept);
  } catch {
    byId("storage").textContent = "This browser has not kept earlier decisions.";
  }
}

function decisionsAsCsv() {
  const cell = (value) => `"${String(value).replaceAll('"', '""')}"`;
  const rows = [...decisions].map(([id, { decision, label }]) => {
    const { path, given } = exampleOf.get(id);
    const name = decision === "relabel" ? facts.classes[label] : "";
    return [id, path, facts.classes[given], decision, name, facts.run, facts.dataset].map(cell).join(",");
  });
  return [COLUMNS.join(","), ...rows].join("\n") + "\n";
}

// The rows of a CSV file; cells in quotes may have commas, quotes and line ends.
function parseCsv(text) {
  const rows = [[]], cells = /("(?:[^"]|"")*"|[^",\r\n]*)(,|\r?\n|$)/gy;
  text = text.replace(/^\ufeff/, "");
  while (cells.lastIndex < text.length) {
    const start = cells.lastIndex, match = cells.exec(text);
    if (!match) throw new Error(`is no CSV table: a quote is not closed near "${text.slice(start, start + 20)}"`);
    const [, cell, end] = match;
    rows.at(-1).push(cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell);
    if (end !== "," && cells.lastIndex < text.length) rows.push([]);
  }
  return rows.filter((row) => row.length > 1 || row[0]);
}

// The [id, decision] pairs of a decisions.csv; an Error names what does not fit.
function decisionsOf(text) {
  const [header = [], ...rows] = parseCsv(text);
  const lacking = COLUMNS.filter((name) => !header.includes(name));
  if (lacking.length) throw new Error(`must be a decisions.csv; it has no column ${lacking.join(", ")}`);
  const seen = new Set();
  return rows.map((cells, i) => {
    const row = Object.fromEntries(header.map((name, c) => [name, cells[c] ?? ""]));
    const line = `row ${i + 1}: `, example = exampleOf.get(Number(row.id));
    if (row.dataset !== facts.dataset) throw new Error(`${line}must be of this dataset, ${facts.dataset.slice(0, 12)}; it is of ${row.dataset.slice(0, 12)}`);
    if (row.run !== facts.run) throw new Error(`${line}must be of this run, ${facts.run}; it is of ${row.run}`);
    if (!example || row.id.trim() === "") throw new Error(`${line}id ${row.id} is not audited`);
    if (seen.has(example.id)) throw new Error(`${line}id ${row.id} is there twice`);
    seen.add(example.id);
    if (!WORDS.includes(row.decision)) throw new Error(`${line}decision must be ${WORDS.join(", ")}; it is ${row.decision}`);
    if (row.decision !== "relabel") return [example.id, { decision: row.decision }];
    const label = facts.classes.indexOf(row.label);
    if (label < 0) throw new Error(`${line}label must be a class; it is ${row.label}`);
    return [example.id, { decision: "relabel", label }];
  });
}

async function load(file) {
  try {
    const changes = decisionsOf(await file.text());
    decide(changes);
    find();
    say(`${counted(changes.length, "decision")} loaded from ${file.name}.`);
  } catch (error) {
    say(`Nothing is loaded. ${file.name} ${error.message}.`);
  }
}

function download(name, blob) {
  const link = element("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

async function saveIssues() {
  const bytes = Uint8Array.from(atob(facts.csv), (c) => c.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  download("label_issues.csv", await new Response(unpacked, { headers: { "Content-Type": "text/csv" } }).blob());
}

// The cards: which are found, in what order, and how each looks.
const AT_ONCE = 48;
const byName = (column) => (a, b) => nameOf(a[column]).localeCompare(nameOf(b[column])) || a.row - b.row;
const ORDERS = {
  suspicious: (a, b) => a.row - b.row,
  gain: (a, b) => b.gain - a.gain || a.row - b.row,
  trusted: (a, b) => b.row - a.row,
  given: byName("given"),
  suggested: byName("suggested"),
};
const STATES = {
  all: () => true,
  undecided: ({ id }) => !decisions.has(id),
  flagged: ({ flagged }) => flagged,
  open: ({ id, flagged }) => flagged && !decisions.has(id),
  decided: ({ id }) => decisions.has(id),
  trained: ({ tested }) => !tested,
  tested: ({ tested }) => tested,
};
const [given, suggested, state, search, order, more, cards] =
  ["given", "suggested", "state", "search", "order", "more", "cards"].map(byId);
const drawn = new Map();  // cards by id
let found = [], shown = 0, current = 0;

// For people and screen readers; what is behind an open dialog is not read out.
function say(text) {
  byId("said").textContent = byId("said-in-viewer").textContent = text;
}

function probabilities(example) {
  const list = element("ol", "", "top");
  for (const [label, p] of example.top) {
    const item = element("li"), bar = element("span", "", "bar");
    bar.style.width = `${100 * p}%`;
    item.append(bar, element("span", nameOf(label), "name"), element("span", p.toFixed(2), "p"));
    list.append(item);
  }
  return list;
}

function labelsOf(example) {
  const labels = element("p", "", "labels");
  labels.append(element("span", nameOf(example.given), "given"), " → ", element("span", nameOf(example.suggested), "suggested"));
  return labels;
}

function buttons(example) {
  const row = element("div", "", "buttons");
  const actions = {
    Suggestion: () => take(example, suggestion(example)),
    Keep: () => take(example, keep),
    "Other…": () => { focusOn(found.indexOf(example), !viewer.open); pick(example); },
  };
  for (const [text, action] of Object.entries(actions)) {
    const button = element("button", text);
    button.type = "button";
    button.tabIndex = -1;  // keys do the same on the card
    button.onclick = action;
    row.append(button);
  }
  return row;
}

function card(example) {
  const item = element("li"), inside = element("div"), picture = element("img");
  item.setAttribute("role", "row");
  inside.setAttribute("role", "gridcell");
  item.tabIndex = -1;
  picture.alt = "";
  picture.loading = "lazy";
  showFirst(picture, [...thumbnailAddresses(example), ...fileAddresses(example)]);
  picture.onclick = () => { focusOn(found.indexOf(example)); view(example); };
  const where = element("p", fileName(example) + (example.tested ? ", test image" : ""), "where");
  where.title = example.path;
  inside.append(element("p", "", "decided"), picture, labelsOf(example), probabilities(example),
    element("p", `label score ${example.score.toFixed(3)}`, "score"), where, buttons(example));
  item.append(inside);
  item.onfocus = () => focusOn(found.indexOf(example), false);
  drawn.set(example.id, item);
  refresh(example.id);
  return item;
}

function refresh(id) {
  const item = drawn.get(id), example = exampleOf.get(id), decision = decisions.get(id);
  if (!item) return;
  const text = decision ? describe(decision, example) : "";
  item.dataset.decision = decision ? decision.decision : "";
  item.querySelector(".decided").textContent = text;
  item.ariaLabel = `${fileName(example)}: given ${nameOf(example.given)}, suggested ${nameOf(example.suggested)},`
    + ` label score ${example.score.toFixed(3)}; ${text ? `decided: ${text}` : "undecided"}`;
}

function showMore() {
  for (const example of found.slice(shown, shown + AT_ONCE)) {
    const previous = found[shown - 1];
    if (order.value === "suspicious" && !example.flagged && (previous ? previous.flagged : facts.flagged)) cards.append(endOfFlagged());
    cards.append(card(example));
    shown += 1;
  }
  byId("count").textContent = `${number(shown)} of ${number(found.length)} shown`;
  more.hidden = shown === found.length;
}

function endOfFlagged() {
  const line = element("li", `The label issues end here: ${number(facts.flagged)}, about as many labels as are estimated to be wrong. Those below are probably right.`, "line");
  line.setAttribute("role", "presentation");
  return line;
}

function find() {
  const part = search.value.trim().toLowerCase();
  found = examples.filter((e) => (given.value === "" || e.given === Number(given.value))
    && (suggested.value === "" || e.suggested === Number(suggested.value))
    && STATES[state.value](e)
    && (!part || `${e.id} ${e.path}`.toLowerCase().includes(part))).sort(ORDERS[order.value]);
  shown = current = 0;
  drawn.clear();
  cards.replaceChildren();
  showMore();
  focusOn(0, false);
  showProgress();
}

// Makes a card the one that keys act on.
function focusOn(place, move = true) {
  if (place < 0 || place >= found.length) return;
  while (place >= shown) showMore();
  const before = drawn.get(found[current]?.id), now = drawn.get(found[place].id);
  if (before) before.tabIndex = -1;
  now.tabIndex = 0;
  current = place;
  if (move) now.focus();
}

function filterBy(givenLabel, suggestedLabel) {
  given.value = givenLabel ?? "";
  suggested.value = suggestedLabel ?? "";
  state.value = "all";
  find();
  byId("labels").scrollIntoView();
  focusOn(0);
  const names = [given, suggested].filter((s) => s.value !== "").map((s) => `${s === given ? "given" : "suggested"} ${nameOf(Number(s.value))}`);
  say(`${counted(found.length, "image")}: ${names.join(", ")}.`);
}

// Decides on one example and moves to the next.
function take(example, decision) {
  decide([[example.id, decision]], true);
  say(`${fileName(example)}: ${describe(decision, example)}.`);
  goOn(example, 1);
}

function goOn(example, by) {
  const place = found.indexOf(example) + by;
  if (viewer.open) {
    if (found[place]) view(found[place]);
    else view(example);
    focusOn(place, false);
  } else focusOn(Math.min(place, found.length - 1));
}

// Of labels that are probably right, no suggestion is taken without a look.
const undecidedIssues = () => found.filter(STATES.open);

function takeAll() {
  const open = undecidedIssues();
  decide(open.map((example) => [example.id, suggestion(example)]));
  say(`Took the suggestion for ${counted(open.length, "label issue")}; z undoes it.`);
}

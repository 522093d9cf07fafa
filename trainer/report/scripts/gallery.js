// The cards: which are found, in what order, and how each looks.
const AT_ONCE = 60;  // whole rows, with any number of columns up to six
const MOST = 8 * AT_ONCE;  // with more of them each step takes longer
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
const [given, suggested, state, search, order, earlier, more, cards] =
  ["given", "suggested", "state", "search", "order", "earlier", "more", "cards"].map(byId);
const drawn = new Map();  // cards by id
let found = [], start = 0, stop = 0, current = 0;  // found[start] to found[stop - 1] are drawn

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

function cardsOf(from, to) {
  return found.slice(from, to).flatMap((example, i) => {
    const previous = found[from + i - 1];
    const ends = order.value === "suspicious" && !example.flagged && (previous ? previous.flagged : facts.flagged);
    return ends ? [endOfFlagged(), card(example)] : [card(example)];
  });
}

function showMore() {
  cards.append(...cardsOf(stop, stop + AT_ONCE));
  stop = Math.min(stop + AT_ONCE, found.length);
  while (stop - start > MOST) leaveOut(start++);
  tellShown();
}

function showEarlier() {
  cards.prepend(...cardsOf(start - AT_ONCE, start));
  start -= AT_ONCE;
  while (stop - start > MOST) leaveOut(--stop);
  tellShown();
}

function showFrom(place) {
  start = stop = place;
  drawn.clear();
  cards.replaceChildren();
  showMore();
}

function leaveOut(place) {
  const { id } = found[place], item = drawn.get(id), above = item.previousElementSibling;
  if (above?.matches(".line")) above.remove();
  item.remove();
  drawn.delete(id);
}

function tellShown() {
  const places = start ? `${number(start + 1)} to ${number(stop)}` : number(stop);
  byId("count").textContent = `${places} of ${number(found.length)} shown`;
  earlier.hidden = start === 0;
  more.hidden = stop === found.length;
  if (found.length && !drawn.has(found[current].id)) focusOn(current < start ? start : stop - 1, false);
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
  current = 0;
  showFrom(0);
  focusOn(0, false);
  showProgress();
}

// Makes a card the one that keys act on.
function focusOn(place, move = true) {
  if (place < 0 || place >= found.length) return;
  if (place < start - AT_ONCE || place >= stop + AT_ONCE) showFrom(place - place % AT_ONCE);
  else if (place < start) showEarlier();
  else if (place >= stop) showMore();
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

// Decides on one example and moves to the next undecided one; from a decided one by one, so that
// decisions can be gone through.
function take(example, decision) {
  const next = found.indexOf(example) + 1, undecided = decisions.has(example.id) ? -1 : undecidedFrom(next);
  decide([[example.id, decision]], true);
  say(`${fileName(example)}: ${describe(decision, example)}.`);
  goTo(undecided < 0 ? Math.min(next, found.length - 1) : undecided);
}

function undecidedFrom(place) {
  while (place < found.length && decisions.has(found[place].id)) place += 1;
  return place < found.length ? place : -1;
}

function goTo(place) {
  if (viewer.open) view(found[place]);
  focusOn(place, !viewer.open);
}

// Of labels that are probably right, no suggestion is taken without a look.
const undecidedIssues = () => found.filter(STATES.open);

function takeAll() {
  const open = undecidedIssues();
  decide(open.map((example) => [example.id, suggestion(example)]));
  say(`Took the suggestion for ${counted(open.length, "label issue")}; z undoes it.`);
}

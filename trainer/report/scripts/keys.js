// What each key does on a card, and in the full-size view; the help lists the same.
const KEYS = [
  ["s", "s or Space", "take the suggestion", (e) => take(e, suggestion(e))],
  ["k", "k", "keep the given label", (e) => take(e, keep)],
  ["1", "1, 2, 3", "take the first, second or third class of the list", (e) => takeTop(e, 0)],
  ["2", "", "", (e) => takeTop(e, 1)],
  ["3", "", "", (e) => takeTop(e, 2)],
  ["c", "c or /", "another class: type a part of its name, then Enter", pick],
  ["x", "x", "not any class: drop the image", (e) => take(e, drop)],
  ["u", "u", "can't tell", (e) => take(e, unsure)],
  ["Backspace", "Backspace", "no decision", (e) => clear(e)],
  ["z", "z or Ctrl+Z", "undo", () => undoAndShow()],
  ["n", "n", "next undecided image; also to begin, from anywhere", nextUndecided],
  ["Enter", "Enter", "full size; Esc closes it", (e) => view(e)],
  ["?", "?", "this help", () => help.showModal()],
];
const SAME = { " ": "s", "/": "c", Delete: "Backspace" };
const ACTIONS = Object.fromEntries(KEYS.map(([key, , , action]) => [key, action]));

function takeTop(example, i) {
  if (example.top[i]) take(example, suggestion(example, example.top[i][0]));
}

function clear(example) {
  decide([[example.id, undefined]]);
  if (viewer.open) view(example);
}

function undoAndShow() {
  const example = exampleOf.get(undo());
  if (!example) return;
  if (viewer.open) view(example);
  focusOn(found.indexOf(example), !viewer.open);
}

function nextUndecided(example, away) {
  const next = undecidedFrom(found.indexOf(example) + (away ? 0 : 1));
  if (next < 0) return say("All that follow are decided.");
  goTo(next);
}

// The key as on a Latin keyboard, whatever the layout.
function keyOf({ key, code }) {
  const plain = key.length > 1 || /[\x20-\x7e]/.test(key) ? key : code.replace(/^Key|^Digit/, "");
  const lower = plain.length === 1 ? plain.toLowerCase() : plain;
  return SAME[lower] || lower;
}

function columnsOfCards() {
  const tops = [...cards.children].slice(0, AT_ONCE).map((item) => item.offsetTop);
  return Math.max(1, tops.filter((top) => top === tops[0]).length);
}

// Away from the cards no key decides: what it decides on may not be in view. Nor does one held down.
function onKey(event) {
  const onControl = event.target.closest("button, a") && ["Enter", " "].includes(event.key);
  if (onControl || event.target.closest("input, select") || picker.open || help.open) return;
  const example = viewer.open ? viewed : found[current];
  const key = keyOf(event), away = !viewer.open && !cards.contains(event.target);
  if (away && !["n", "z", "?"].includes(key)) return;
  const undoing = key === "z" && (event.ctrlKey || event.metaKey);
  if (!example || event.altKey || ((event.ctrlKey || event.metaKey) && !undoing)) return;
  const step = viewer.open ? 1 : columnsOfCards();
  const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: step, ArrowUp: -step }[key];
  const end = { Home: 0, End: stop - 1 }[key];
  if (by) {
    const place = found.indexOf(example) + by;
    if (found[place]) goTo(place);
  } else if (end !== undefined) goTo(end);
  else if (!ACTIONS[key]) return;
  else if (!event.repeat) ACTIONS[key](example, away);
  event.preventDefault();
}

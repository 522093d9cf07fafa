// One image in full size, with its probabilities and the trusted images near it.
const viewer = byId("viewer"), picker = byId("picker"), help = byId("help");
let viewed;

function view(example) {
  viewed = example;
  const picture = element("img", "", "full"), beside = element("div", "", "facts");
  picture.alt = fileName(example);
  showFirst(picture, [...fileAddresses(example), ...sources(pictures.large[example.id]), ...thumbnailAddresses(example)]);
  const decision = decisions.get(example.id);
  beside.append(element("p", decision ? describe(decision, example) : "undecided", decision ? "decided" : "quiet"), labelsOf(example),
    probabilities(example), element("p", `label score ${example.score.toFixed(3)}`), element("p", example.path || `id ${example.id}`, "where"),
    buttons(example), ...[example.given, example.suggested].map((label, side) => trustedImages(example, label, side)));
  byId("viewed").replaceChildren(picture, beside);
  viewer.setAttribute("aria-label", `${fileName(example)}, ${found.indexOf(example) + 1} of ${found.length}`);
  if (!viewer.open) {
    say("");
    viewer.showModal();
  }
  byId("viewed").focus();
}

function trustedImages(example, label, side) {
  const section = element("section"), near = facts.nearest[example.id];
  const known = near ? near[side].filter((id) => id >= 0) : [];
  const ids = known.filter((id) => pictures.trusted[id]);
  const note = noteOnTrusted(ids.length, near ? known.length : Infinity);
  section.append(element("h3", `Nearest trusted images of ${nameOf(label)}`));
  if (note) section.append(element("p", note, "quiet"));
  for (const id of ids) {
    const picture = element("img", "", "trusted");
    picture.alt = `trusted ${nameOf(label)}`;
    showFirst(picture, sources(pictures.trusted[id]));
    section.append(picture);
  }
  return section;
}

// The page has pictures of trusted images for the first of the list.
function noteOnTrusted(shown, known) {
  if (shown === known) return known ? "" : "There are none of this class.";
  return shown ? "The page has not all of them." : "The page has none for this image: it is far down the list.";
}

// Chooses another class by a part of its name.
function pick(example) {
  const input = byId("picked-name"), list = byId("picked-class");
  const show = () => {
    const part = input.value.trim().toLowerCase(), lower = (label) => nameOf(label).toLowerCase();
    const labels = facts.classes.map((_, label) => label).filter((label) => lower(label).includes(part));
    labels.sort((a, b) => lower(b).startsWith(part) - lower(a).startsWith(part) || a - b);
    list.replaceChildren(...labels.map((label) => new Option(nameOf(label), label)));
    list.selectedIndex = part && labels.length ? 0 : -1;  // Enter alone takes none
  };
  const choose = () => {
    if (list.selectedIndex < 0) return;
    picker.close();
    take(example, suggestion(example, Number(list.value)));
  };
  input.value = "";
  show();
  input.oninput = show;
  input.onkeydown = (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by) list.selectedIndex = Math.max(0, Math.min(list.length - 1, list.selectedIndex + by));
    if (by || event.key === "Enter") event.preventDefault();
    if (event.key === "Enter") choose();
  };
  list.onkeydown = (event) => event.key === "Enter" && choose();
  list.ondblclick = byId("picked").onclick = choose;
  byId("picked-drop").onclick = () => { picker.close(); take(example, drop); };
  byId("picked-unsure").onclick = () => { picker.close(); take(example, unsure); };
  picker.showModal();
}

// Joins the controls of the page with what they do.
facts.classes.forEach((_, label) => [given, suggested].forEach((select) => select.add(new Option(nameOf(label), label))));
if (!examples.some(STATES.tested)) state.querySelectorAll(".splits").forEach((option) => option.remove());
for (const control of [given, suggested, state, order]) control.onchange = find;
search.oninput = find;
earlier.onclick = showEarlier;
more.onclick = showMore;
byId("take-all").onclick = takeAll;
byId("undo").onclick = undoAndShow;
byId("show-help").onclick = () => help.showModal();
byId("save-decisions").onclick = () => download("decisions.csv", new Blob([decisionsAsCsv()], { type: "text/csv" }));
byId("load-decisions").onchange = ({ target }) => { load(target.files[0]); target.value = ""; };
byId("save-issues").onclick = saveIssues;
byId("by-gain").onclick = () => { order.value = "gain"; state.value = "undecided"; find(); byId("labels").scrollIntoView(); focusOn(0); };
document.onkeydown = onKey;
viewer.onclose = () => focusOn(found.indexOf(viewed));
for (const dialog of [viewer, picker, help]) dialog.querySelector(".close").onclick = () => dialog.close();
for (const [, keys, text] of KEYS.filter(([, keys]) => keys)) byId("keys").append(element("dt", keys), element("dd", text));
for (const chosen of document.querySelectorAll("button[data-label]")) chosen.onclick = () => filterBy(Number(chosen.dataset.label));

// Another window with the same page has decided.
window.onstorage = ({ key }) => {
  if (key !== PLACE) return;
  const changed = [...decisions.keys()];
  decisions.clear();
  restore();
  for (const id of [...changed, ...decisions.keys()]) refresh(id);
  showProgress();
};

restore();
find();

// How far the review is, how long it takes, and how often a look changes a label.
function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return minutes ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds)} s`;
}

function showProgress() {
  const decided = [...decisions], flagged = decided.filter(([id]) => exampleOf.get(id).flagged).length;
  const open = undecidedIssues().length, left = open || found.filter(STATES.undecided).length;
  const parts = [`${number(flagged)} of ${counted(facts.flagged, "label issue")} decided, ${counted(decided.length, "label")} in all`];
  if (looks) {
    const pace = seconds / looks;
    const what = open ? counted(open, "label issue") : counted(left, "label");
    const rest = left ? `, ${duration(pace * left)} for the ${what} left here` : "";
    parts.push(`${duration(seconds)} so far, ${pace.toFixed(1)} s a look${rest}`);
  }
  byId("progress-text").textContent = `${parts.join("; ")}.`;
  byId("progress-bar").max = Math.max(facts.flagged, 1);
  byId("progress-bar").value = flagged;
  byId("so-far").textContent = soFar(decided);
  byId("save-decisions").disabled = !decided.length;
  byId("save-decisions").textContent = `Save decisions (${number(decided.length)})`;
  byId("take-all").textContent = `Take ${counted(open, "suggestion")}`;
  byId("take-all").disabled = !open;
}

function soFar(decided) {
  const sure = decided.filter(([, { decision }]) => decision !== "unsure");
  if (!sure.length) return "";
  const changed = sure.filter(([, { decision }]) => decision !== "keep").length;
  const expected = sure.reduce((sum, [id]) => sum + 1 - exampleOf.get(id).score, 0);
  const percent = (n) => `${Math.round(100 * n / sure.length)}%`;
  const rest = decided.length - sure.length, others = rest ? ` ${number(rest)} you can't tell.` : "";
  return `So far ${number(changed)} of ${counted(sure.length, "decision")} changed the given label (${percent(changed)}); ${percent(expected)} were expected to.${others}`;
}

// The audited examples, most suspicious first; classes are numbers, and so no name means anything.
const read = (id) => JSON.parse(byId(id).textContent);
const facts = read("gallery-facts"), pictures = read("gallery-pictures");
const examples = facts.id.map((id, row) => ({
  row, id,
  path: facts.path_start + facts.path[row],
  given: facts.given[row],
  suggested: facts.suggested[row],
  score: facts.score[row],
  gain: 1 - (facts.corrected[row] ? facts.p_suggested[row] : facts.score[row]),
  flagged: row < facts.flagged,
  tested: id >= facts.trained,
  top: facts.top[row].map((label, i) => [label, facts.p_top[row][i] / 1000]).filter(([label]) => label >= 0),
}));
const exampleOf = new Map(examples.map((example) => [example.id, example]));
const nameOf = (label) => facts.classes[label] || "(no name)";
const fileName = (example) => example.path ? example.path.split("/").pop() : `id ${example.id}`;

// Where the file of an image may be: in its folder beside the page, or where the run found it.
function fileAddresses({ row, path }) {
  if (!path || path.includes("://")) return [];
  const encoded = (text) => text.split("/").map(encodeURIComponent).join("/");
  const folder = facts.path_start.split("/").filter(Boolean).pop() || ".";
  const beside = encoded(`${folder}/${facts.path[row]}`);
  return location.protocol === "file:" ? [beside, `file://${encoded(path)}`] : [beside];
}

function thumbnailAddresses(example) {
  const inPage = pictures.thumbnails[example.id];
  if (inPage) return [inPage];
  const beside = `${encodeURIComponent(facts.folder)}/${Math.floor(example.id / 1000)}/${example.id}.jpg`;
  return [...(facts.folder ? [beside] : []), ...fileAddresses(example)];
}

// Shows the first of several addresses that loads.
function showFirst(picture, addresses) {
  const [first, ...others] = addresses;
  picture.onload = () => picture.classList.toggle("photo", picture.naturalWidth > 20);
  picture.onerror = () => others.length ? showFirst(picture, others) : picture.classList.add("missing");
  if (first) picture.src = first;
  else picture.classList.add("missing");
}

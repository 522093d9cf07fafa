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

// Where files of images may be: where the run found them, or in their folder beside the page. The
// place that has had a file comes first; one that has not had any of several is asked no more.
const encoded = (text) => text.split("/").map(encodeURIComponent).join("/");
const folderBeside = facts.path_start.split("/").filter(Boolean).pop() || ".";
const places = [
  { address: ({ path }) => `file://${encoded(path)}`, missed: 0 },
  { address: ({ row }) => encoded(`${folderBeside}/${facts.path[row]}`), missed: 0 },
].slice(location.protocol === "file:" ? 0 : 1);
const MOST_MISSED = 3;

function fileAddresses(example) {
  if (!example.path || example.path.includes("://")) return [];
  const open = places.filter(({ missed }) => missed < MOST_MISSED).sort((a, b) => a.missed - b.missed);
  return open.map((place) => ({ src: place.address(example), place }));
}

// Of the page's own pictures: in it, or in the folder that was written with it.
function thumbnailAddresses({ id }) {
  const beside = facts.folder && `${encodeURIComponent(facts.folder)}/${Math.floor(id / 1000)}/${id}.jpg`;
  return sources(pictures.thumbnails[id] || beside);
}

const sources = (...addresses) => addresses.filter(Boolean).map((src) => ({ src }));

// Shows the first of several addresses that loads.
function showFirst(picture, [first, ...others]) {
  if (!first) return picture.classList.add("missing");
  const { src, place = {} } = first;
  picture.onload = () => {
    place.missed = -Infinity;
    picture.classList.toggle("photo", picture.naturalWidth > 20);
  };
  picture.onerror = () => {
    place.missed += 1;
    showFirst(picture, others);
  };
  picture.src = src;
}

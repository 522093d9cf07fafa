// Matrices of classes (rows are true, columns given or predicted). A click on a cell shows its
// images; so does Enter on the cell that the arrow keys have reached.
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function chooseCells(figure, image) {
  const C = facts.classes.length, mark = element("div", "", "cell"), text = element("p", "", "chosen");
  let cell = [0, 0];
  const labelsAt = ([row, column]) => figure.dataset.matrix === "noise" ? [column, row] : [row, column];
  const hide = () => { mark.hidden = true; };
  const filter = () => {
    const [from, to] = labelsAt(cell);
    filterBy(from, from === to ? undefined : to);
  };
  const show = (chosen) => {
    cell = chosen;
    const box = image.getBoundingClientRect(), outer = figure.getBoundingClientRect();
    const [height, width] = [box.height / C, box.width / C];
    const top = box.top - outer.top + cell[0] * height, left = box.left - outer.left + figure.scrollLeft + cell[1] * width;
    Object.assign(mark.style, { top: `${top}px`, left: `${left}px`, width: `${width}px`, height: `${height}px` });
    mark.hidden = false;
    text.textContent = describeCell(...labelsAt(cell));
  };
  figure.onmousemove = (event) => {
    const under = cellUnder(event, image.getBoundingClientRect(), C);
    figure.style.cursor = under ? "pointer" : "";
    if (under) show(under);
    else hide();
  };
  figure.onclick = (event) => {
    const under = cellUnder(event, image.getBoundingClientRect(), C);
    if (under) cell = under;
    if (under) filter();
  };
  figure.onkeydown = (event) => {
    const step = STEPS[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey || !(step || event.key === "Enter")) return;
    event.preventDefault();
    event.stopPropagation();
    if (!step) return filter();
    show(cell.map((place, i) => Math.max(0, Math.min(C - 1, place + step[i]))));
    mark.scrollIntoView({ block: "nearest", inline: "nearest" });
  };
  figure.onfocus = () => show(cell);
  figure.onblur = figure.onmouseleave = hide;
  figure.tabIndex = 0;
  figure.setAttribute("role", "application");
  figure.ariaLabel += ": arrow keys move from cell to cell, Enter shows the images";
  text.setAttribute("role", "status");
  hide();
  figure.append(mark);
  figure.after(text);
}

function cellUnder({ clientX, clientY }, box, C) {
  const cell = [(clientY - box.top) / box.height, (clientX - box.left) / box.width].map((part) => Math.floor(part * C));
  return cell.every((place) => place >= 0 && place < C) ? cell : null;
}

function describeCell(from, to) {
  const count = examples.filter((e) => e.given === from && (from === to || e.suggested === to)).length;
  return `${counted(count, "image")} given ${nameOf(from)}${from === to ? "" : `, suggested ${nameOf(to)}`}`;
}

for (const figure of document.querySelectorAll("[data-matrix]")) {
  const image = figure.querySelector("svg image");
  if (image) chooseCells(figure, image);
}

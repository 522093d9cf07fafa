"use strict";
const byId = (id) => document.getElementById(id);
const number = (n) => n.toLocaleString("en");
const counted = (n, name) => `${number(n)} ${name}${n === 1 ? "" : "s"}`;

function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

// Tables whose columns sort on a click; numbers by value, and the other way on a second click.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead button").forEach((button, column) => {
    const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    button.onclick = () => {
      const header = button.parentElement, down = header.ariaSort === "ascending";
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", down ? "descending" : "ascending");
      const compare = (a, b) => value(a).localeCompare(value(b), "en", { numeric: true });
      const byNumber = (a, b) => parseFloat(value(a)) - parseFloat(value(b));
      const rows = [...body.rows].filter((row) => value(row) !== "");
      const numbers = rows.every((row) => !Number.isNaN(parseFloat(value(row))));
      const sorted = [...body.rows].sort(numbers ? byNumber : compare);
      body.append(...(down ? sorted.reverse() : sorted));
    };
  });
}

"use strict";
// Sorts a table by the column whose heading is pressed; without a script it stays as it was made.
const value = (row, column) => {
  const cell = row.cells[column];
  const text = cell.dataset.value ?? (cell.tagName === "TH" ? cell.textContent.trim() : "");
  return text === "" || Number.isNaN(Number(text)) ? text : Number(text);
};
const order = (a, b) => {
  if (a === "" || b === "") return (a === "") - (b === "");
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return typeof a === "number" ? a - b : a.localeCompare(b);
};
for (const table of document.querySelectorAll("table")) {
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent.trim();
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const falling = heading.getAttribute("aria-sort") === "ascending";
      const rows = [...body.rows].map((row) => [value(row, column), row]);
      // What is missing stays last in both directions.
      rows.sort(([a], [b]) => (falling && a !== "" && b !== "" ? order(b, a) : order(a, b)));
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
      body.replaceChildren(...rows.map(([, row]) => row));
    });
  });
}
document.documentElement.classList.add("can-sort");
// What a link leads to may be folded away; what is printed may not, but for the last detail.
const unfold = (inside) => {
  for (let at = inside; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
};
const reveal = () => {
  const target = document.getElementById(location.hash.slice(1));
  unfold(target);
  target?.scrollIntoView();
};
addEventListener("hashchange", reveal);
if (location.hash) reveal();
const printed = "main > section > .fold:not(.detail), main > section > div > .fold";
addEventListener("beforeprint", () => document.querySelectorAll(printed).forEach(unfold));

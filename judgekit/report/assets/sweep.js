"use strict";

// A column's head sorts by it: numbers by what they are, others as text.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const read = (row) => row.cells[place].dataset.value ?? row.cells[place].textContent.trim();
      const rows = [...body.rows].map((row) => [read(row), row]);
      rows.sort(([a], [b]) => {
        // What is not there comes last either way.
        if (a === "" || a === "–" || b === "" || b === "–") return (a === "" || a === "–") - (b === "" || b === "–");
        const [x, y] = [Number(a), Number(b)];
        const order = Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
        return down ? -order : order;
      });
      body.append(...rows.map(([, row]) => row));
    });
  });
}

// All words must be in a run's row.
const find = document.getElementById("find");
const rows = [...document.getElementById("runs").tBodies[0].rows];
const texts = rows.map((row) => [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase());
find.addEventListener("submit", (event) => event.preventDefault());
find.addEventListener("input", () => {
  const words = find.elements.text.value.toLowerCase().split(/\s+/);
  let kept = 0;
  rows.forEach((row, place) => {
    row.hidden = !words.every((word) => texts[place].includes(word));
    if (!row.hidden) kept += 1;
  });
  find.querySelector("output").textContent = `${kept} of ${rows.length}`;
});

// On paper everything is open.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});

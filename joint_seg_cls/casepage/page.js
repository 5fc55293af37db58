"use strict";
// Tables sorted by their headings, names that can be hidden, printing.
(() => {
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = head.querySelector("button");
      if (!button) return;
      button.addEventListener("click", () => {
        const first = head.classList.contains("number") && column > 0 ? "descending" : "ascending";
        const before = head.getAttribute("aria-sort");
        const order = before === null ? first : before === "ascending" ? "descending" : "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", order);
        const isNumber = head.classList.contains("number");
        const valueOf = (row) => row.cells[column].dataset.value;
        const rows = [...table.tBodies[0].rows].sort((one, other) => {
          const [a, b] = [valueOf(one), valueOf(other)];
          if (a === "" || b === "") return (a === "") - (b === ""); // empty cells are last
          const difference = isNumber ? a - b : a.localeCompare(b, undefined, { numeric: true });
          return order === "ascending" ? difference : -difference;
        });
        table.tBodies[0].append(...rows);
      });
    });
  }

  const hide = document.getElementById("hide-name");
  const title = document.title;
  hide?.addEventListener("click", () => {
    const isHidden = hide.getAttribute("aria-pressed") !== "true";
    hide.setAttribute("aria-pressed", String(isHidden));
    for (const name of document.querySelectorAll(".name")) name.textContent = isHidden ? "Scan" : name.dataset.name;
    document.title = isHidden ? "Scan" : title;
  });
  document.getElementById("print")?.addEventListener("click", () => window.print());
})();


"use strict";
(() => {
  const table = document.getElementById("gateways");
  const form = document.getElementById("filter");
  const words = document.getElementById("words");
  const told = document.getElementById("told");
  const none = document.getElementById("none");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const text = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const states = Array.from(form.querySelectorAll("button[data-state]"));
  const pressed = (button) => button.getAttribute("aria-pressed") === "true";

  const filter = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter((word) => word !== "");
    const on = new Set(states.filter(pressed).map((button) => button.dataset.state));
    let shown = 0;
    for (const row of rows) {
      const fits = (on.size === 0 || on.has(row.dataset.state))
        && wanted.every((word) => text.get(row).includes(word));
      row.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    none.hidden = shown > 0;
    const noun = rows.length === 1 ? "row" : "rows";
    told.textContent = shown === rows.length ? `all ${shown} ${noun}` : `${shown} of ${rows.length} ${noun}`;
  };
  const clear = () => {
    words.value = "";
    states.forEach((button) => button.setAttribute("aria-pressed", "false"));
    filter();
  };
  words.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { clear(); words.focus(); }
  });
  states.forEach((button) => button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(!pressed(button)));
    filter();
  }));

  // A row that a link leads to is shown, whatever the filter says.
  const follow = () => {
    const id = location.hash.slice(1);
    const row = id === "" ? null : document.getElementById(id);
    if (row === null || row.parentNode !== body) { return; }
    if (row.hidden) { clear(); row.scrollIntoView(); }
    row.focus({ preventScroll: true });
  };
  addEventListener("hashchange", follow);

  const order = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const heads = Array.from(table.tHead.rows[0].cells);
  const compare = (a, b) => {
    if (a.dataset.n === undefined) { return order.compare(a.textContent, b.textContent); }
    return Number(a.dataset.n) - Number(b.dataset.n);
  };
  const empty = (cell) => cell.dataset.n === "" || cell.classList.contains("nothing");
  const sort = (column) => {
    const down = heads[column].getAttribute("aria-sort") === "ascending";
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
    const sorted = rows.slice().sort((one, other) => {
      const [a, b] = [one.cells[column], other.cells[column]];
      // What is not known stands last either way.
      if (empty(a) || empty(b)) { return Number(empty(a)) - Number(empty(b)); }
      return down ? compare(b, a) : compare(a, b);
    });
    body.append(...sorted);
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(column));
    head.append(button);
  });

  const folded = Array.from(document.querySelectorAll("details"));
  if (folded.length > 0) {
    const button = document.createElement("button");
    button.type = "button";
    button.id = "unfold";
    button.textContent = "Unfold all evidence";
    button.setAttribute("aria-expanded", "false");
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-expanded") !== "true";
      button.setAttribute("aria-expanded", String(open));
      button.textContent = open ? "Fold all evidence" : "Unfold all evidence";
      folded.forEach((one) => { one.open = open; });
    });
    document.getElementById("incidents-head").after(button);
    let closed = [];
    addEventListener("beforeprint", () => {
      closed = folded.filter((one) => !one.open);
      closed.forEach((one) => { one.open = true; });
    });
    addEventListener("afterprint", () => closed.forEach((one) => { one.open = false; }));
  }

  form.hidden = false;
  filter();
  follow();
})();

// The grid of previews: which image is in focus, which are selected, what each cell shows.
// A listbox with real focus on its options, so that screen readers follow it.

import { SHAPES, TAGS, described, element, preview } from "./words.js";

export class Grid {
  constructor(box, onFocus, onSelection) {
    this.box = box;
    this.onFocus = onFocus;
    this.onSelection = onSelection;
    this.clear();
    box.addEventListener("click", (event) => this.#clicked(event));
  }

  clear() {
    this.rows = [];
    this.cells = [];
    this.places = new Map();
    this.focus = -1;
    this.anchor = 0;
    this.selected = new Set();
    this.box.replaceChildren();
    this.box.tabIndex = 0;
  }

  // Images that another page held already come no second time.
  append(rows) {
    const fresh = document.createDocumentFragment();
    for (const row of rows) {
      if (this.places.has(row.sha256)) continue;
      this.places.set(row.sha256, this.rows.length);
      const cell = element("div", { role: "option", tabindex: "-1", "aria-selected": "false", class: "cell" });
      cell.append(element("span", { class: "picture" }, preview(row.sha256)), element("span", { class: "mark" }), element("span", { class: "looks" }));
      cell.querySelector("img").addEventListener("error", (event) => event.target.replaceWith(element("span", { class: "none" }, "no preview")));
      this.rows.push(row);
      this.cells.push(cell);
      this.draw(this.rows.length - 1);
      fresh.append(cell);
    }
    this.box.append(fresh);
  }

  // `note` says what happened to it meanwhile, until its next word.
  draw(place, note = null) {
    const row = this.rows[place];
    const cell = this.cells[place];
    cell.dataset.tag = row.tag;
    cell.dataset.by = row.reviewed_by ? "person" : "model";
    cell.toggleAttribute("data-changed", note !== null);
    cell.setAttribute("aria-label", note ? `${described(row)}; ${note}` : described(row));
    const [, mark, looks] = cell.children;
    mark.textContent = `${SHAPES[row.tag]} ${TAGS[row.tag]}${row.reviewed_by ? " ✓" : ""}`;
    looks.textContent = note ?? row.label ?? "";
  }

  replace(row, note = null) {
    const place = this.places.get(row.sha256);
    if (place === undefined) return false;
    this.rows[place] = row;
    this.draw(place, note);
    return true;
  }

  get current() {
    return this.rows[this.focus] ?? null;
  }

  // What a word falls on: the selection, or else the image in focus.
  targets() {
    if (this.selected.size) return [...this.selected].sort((a, b) => a - b).map((place) => this.rows[place]);
    return this.current ? [this.current] : [];
  }

  columns() {
    const top = this.cells[0]?.offsetTop;
    const next = this.cells.findIndex((cell) => cell.offsetTop !== top);
    return next === -1 ? Math.max(this.cells.length, 1) : next;
  }

  move(to, { extend = false, take = true } = {}) {
    if (!this.rows.length) return;
    const place = Math.min(Math.max(to, 0), this.rows.length - 1);
    const before = this.cells[this.focus];
    if (before) before.tabIndex = -1;
    this.focus = place;
    this.box.tabIndex = -1;
    this.cells[place].tabIndex = 0;
    if (extend) this.select(this.anchor, place);
    else {
      this.anchor = place;
      this.deselect();
    }
    if (take) {
      this.cells[place].focus({ preventScroll: true });
      this.cells[place].scrollIntoView({ block: "nearest" });
    }
    this.onFocus(this.rows[place]);
  }

  select(from, to) {
    this.#mark(false);
    this.selected = new Set();
    for (let place = Math.min(from, to); place <= Math.max(from, to); place += 1) this.selected.add(place);
    this.#mark(true);
    this.onSelection();
  }

  selectAll() {
    if (this.rows.length) this.select(0, this.rows.length - 1);
  }

  toggle(place) {
    if (!this.selected.delete(place)) this.selected.add(place);
    this.cells[place].setAttribute("aria-selected", String(this.selected.has(place)));
    this.onSelection();
  }

  deselect() {
    if (!this.selected.size) return;
    this.#mark(false);
    this.selected = new Set();
    this.onSelection();
  }

  #mark(state) {
    for (const place of this.selected) this.cells[place].setAttribute("aria-selected", String(state));
  }

  #clicked(event) {
    const place = this.cells.indexOf(event.target.closest(".cell"));
    if (place === -1) return;
    if (event.ctrlKey || event.metaKey) this.toggle(place);
    else this.move(place, { extend: event.shiftKey });
  }
}

// The grid of previews: which image is in focus, which are selected, what each cell shows.
// A listbox with real focus on its options, so that screen readers follow it.

import { SHAPES, TAGS, described, element, preview } from "./words.js";

// What sticks to the upper and the lower edge lies within so many pixels.
const EDGE = 64;

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
    this.notes = [];
    this.places = new Map();
    this.focus = -1;
    this.awaiting = false; // the image behind the last one
    this.picked = false;
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
      const cell = framed(row.sha256);
      this.places.set(row.sha256, this.rows.length);
      this.rows.push(row);
      this.cells.push(cell);
      this.#draw(this.rows.length - 1, null);
      fresh.append(cell);
    }
    this.box.append(fresh);
  }

  #draw(place, note) {
    const row = this.rows[place];
    const cell = this.cells[place];
    this.notes[place] = note;
    cell.dataset.tag = row.tag;
    cell.dataset.by = row.reviewed_by ? "person" : "model";
    cell.toggleAttribute("data-changed", note !== null);
    cell.setAttribute("aria-label", note ? `${described(row)}; ${note}` : described(row));
    const [, mark, looks] = cell.children;
    mark.textContent = `${SHAPES[row.tag]} ${TAGS[row.tag]}${row.reviewed_by ? " ✓" : ""}`;
    looks.textContent = note ?? row.label ?? "";
  }

  // `note` says what happened to it meanwhile, until its next word.
  replace(row, note = null) {
    const place = this.places.get(row.sha256);
    if (place === undefined) return;
    this.rows[place] = row;
    this.#draw(place, note);
    if (place === this.focus) this.onFocus(row, note);
  }

  row(sha256) {
    return this.rows[this.places.get(sha256)];
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
    this.#reach(place);
    if (extend) this.select(this.anchor, place);
    else {
      this.anchor = place;
      this.deselect();
    }
    if (take) this.take();
    this.onFocus(this.rows[place], this.notes[place]);
  }

  #reach(place) {
    if (this.cells[this.focus]) this.cells[this.focus].tabIndex = -1;
    this.focus = place;
    this.awaiting = false;
    this.picked = false;
    this.box.tabIndex = -1;
    this.cells[place].tabIndex = 0;
  }

  // Bring the browser's focus to the image in focus.
  take() {
    const cell = this.cells[this.focus];
    if (!cell) return;
    cell.focus({ preventScroll: true });
    const { top, bottom } = cell.getBoundingClientRect();
    // To the middle, so that the rows to come are seen before their turn, and seldom.
    if (top < EDGE || bottom > innerHeight - EDGE) cell.scrollIntoView({ block: "center" });
  }

  select(from, to) {
    const [first, last] = [Math.min(from, to), Math.max(from, to)];
    for (const place of this.selected) {
      if (place < first || place > last) this.#choose(place, false);
    }
    for (let place = first; place <= last; place += 1) {
      if (!this.selected.has(place)) this.#choose(place, true);
    }
    this.onSelection();
  }

  selectAll() {
    if (this.rows.length) this.select(0, this.rows.length - 1);
  }

  // An image that was clicked before belongs to the selection that begins with the next one.
  toggle(place) {
    if (this.picked && this.focus !== place) this.#choose(this.focus, true);
    this.#reach(place);
    this.#choose(place, !this.selected.has(place));
    this.anchor = place;
    this.take();
    this.onSelection();
    this.onFocus(this.rows[place], this.notes[place]);
  }

  deselect() {
    if (!this.selected.size) return;
    for (const place of this.selected) this.#choose(place, false);
    this.onSelection();
  }

  #choose(place, state) {
    if (state) this.selected.add(place);
    else this.selected.delete(place);
    this.cells[place].setAttribute("aria-selected", String(state));
  }

  #clicked(event) {
    const place = this.places.get(event.target.closest(".cell")?.dataset.image);
    if (place === undefined) return;
    if (event.ctrlKey || event.metaKey) this.toggle(place);
    else {
      this.move(place, { extend: event.shiftKey });
      this.picked = true;
    }
  }
}

function framed(sha256) {
  const image = preview(sha256);
  image.addEventListener("error", () => image.replaceWith(element("span", { class: "none" }, "no preview")));
  const cell = element("div", { role: "option", tabindex: "-1", "aria-selected": "false", class: "cell", "data-image": sha256 });
  cell.append(element("span", { class: "picture" }, image), element("span", { class: "mark" }), element("span", { class: "looks" }));
  return cell;
}

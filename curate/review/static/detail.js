// What is known of the image in focus: beside the grid, and in the large view.

import { get } from "./api.js";
import { count, described, element, fileName, looks, moment, number, percent, preview, said, tagged, TAGS } from "./words.js";

const METHODS = { discrepancy: "discrepancy of the heads", msp: "1 − maximum softmax", energy: "energy", knn: "distance to neighbours", disagreement: "disagreement of methods" };
const PATIENCE = 120;

const fact = (name, ...content) => element("div", {}, element("dt", {}, name), element("dd", {}, ...content));

function verdict(row, note) {
  const word = element("p", { class: "verdict", "data-tag": row.tag }, element("strong", {}, tagged(row)), ` ${said(row)}`);
  return note ? [word, element("p", { class: "note" }, note)] : [word];
}

function facts(row) {
  const list = element("dl", { class: "facts" });
  if (row.label) list.append(fact("Class", looks(row), row.confidence === null ? "" : ` (${percent(row.confidence)})`));
  if (row.score !== null) list.append(fact("Score", number(row.score)), fact("Unusual", `${percent(row.p_value)} of held-out images of your classes score as high`));
  list.append(fact("File", `${row.format}, ${count(row.width)} × ${count(row.height)}, ${count(row.bytes)} bytes`), fact("First seen", moment(row.first_seen)));
  return list;
}

function told(word) {
  const what = word.verdict === "none" ? "no word" : `${TAGS[word.verdict]}${word.class ? `, ${word.class}` : ""}`;
  return `${moment(word.at)}: ${what} (${word.reviewer}${word.undoes ? ", undo" : ""})`;
}

const section = (title, ...content) => (content.length ? [element("h3", {}, title), ...content] : []);

function all(found) {
  const values = Object.entries(METHODS).filter(([name]) => found.methods[name] !== null);
  const methods = element("dl", { class: "facts numbers" }, ...values.map(([name, title]) => fact(title, number(found.methods[name]))));
  const places = found.places.map((path) => element("li", {}, path));
  const history = found.history.map((word) => element("li", {}, told(word)));
  const near = found.neighbours.map((one) => element("li", {}, preview(one.sha256, ""), element("span", {}, one.class)));
  return [
    ...section("Nearest labeled images", ...(near.length ? [element("ul", { class: "near" }, ...near)] : [])),
    ...section("History", ...(history.length ? [element("ol", {}, ...history)] : [])),
    ...section("Seen at", element("ul", { class: "places" }, ...places)),
    ...section("Methods", ...(values.length ? [methods] : [])),
  ];
}

const missing = (image) => image.addEventListener("error", () => image.replaceWith(element("span", { class: "none" }, "no preview")));

export class Detail {
  constructor(aside, large, say) {
    this.large = large;
    this.say = say;
    this.timer = 0;
    this.frame = 0;
    this.drawn = null;
    this.row = null;
    this.body = element("div");
    this.rest = element("div", { class: "rest" });
    this.picture = element("div", { class: "picture" });
    this.aside = aside;
    large.addEventListener("close", () => this.row && aside.append(this.rest));
  }

  get enlarged() {
    return this.large.open;
  }

  // Its row is shown with the next frame, the rest when the focus has stayed.
  show(row, note = null, place = "") {
    clearTimeout(this.timer);
    cancelAnimationFrame(this.frame);
    Object.assign(this, { row, note, place });
    if (row) this.frame = requestAnimationFrame(() => this.#draw());
    else this.aside.replaceChildren();
  }

  #draw() {
    const { row, note } = this;
    const other = row.sha256 !== this.drawn;
    this.drawn = row.sha256;
    if (other) {
      this.picture.replaceChildren(preview(row.sha256, ""));
      missing(this.picture.firstChild);
      this.rest.replaceChildren();
    }
    this.body.replaceChildren(element("h2", {}, fileName(row)), ...verdict(row, note), facts(row));
    if (!this.body.isConnected) this.aside.replaceChildren(this.picture, this.body);
    if (!this.rest.isConnected) this.aside.append(this.rest);
    if (this.enlarged) this.#enlarge(other);
    this.timer = setTimeout(() => this.#complete(row), PATIENCE);
  }

  open() {
    if (!this.row || this.enlarged) return;
    this.#enlarge(true);
    this.large.querySelector(".more").append(this.rest);
    this.large.showModal();
    this.large.focus();
  }

  #enlarge(other) {
    const { row, note } = this;
    if (other) {
      const image = element("img", { src: `preview/${row.sha256}`, alt: fileName(row) });
      missing(image);
      this.large.querySelector(".stage").replaceChildren(image);
    }
    this.large.querySelector("h2").textContent = fileName(row);
    this.large.querySelector(".place").textContent = this.place;
    this.large.querySelector(".known").replaceChildren(...verdict(row, note), facts(row));
    this.large.querySelector(".spoken").textContent = note ? `${described(row)}; ${note}` : described(row);
  }

  async #complete(row) {
    try {
      const found = await get(`api/image/${row.sha256}`);
      if (this.row?.sha256 === row.sha256) this.rest.replaceChildren(...all(found));
    } catch (error) {
      if (error.status) this.say(error.message, true);
    }
  }
}

// What is known of the image in focus: beside the grid, and in the large view.

import { get } from "./api.js";
import { TAGS, count, element, fileName, moment, number, percent, preview, verdict } from "./words.js";

const METHODS = { discrepancy: "discrepancy of the heads", msp: "1 − maximum softmax", energy: "energy", knn: "distance to neighbours", disagreement: "disagreement of methods" };
const PATIENCE = 120;

const fact = (name, ...content) => element("div", {}, element("dt", {}, name), element("dd", {}, ...content));

function facts(row) {
  const list = element("dl", { class: "facts" });
  list.append(fact("Tag", verdict(row)));
  if (row.label) list.append(fact(row.confidence === null ? "Class" : "Looks like", row.confidence === null ? row.label : `${row.label} (${percent(row.confidence)})`));
  if (row.score !== null) list.append(fact("Score", `${number(row.score)}; as unusual as ${percent(row.p_value)} of held-out images of our classes`));
  list.append(fact("File", `${row.format}, ${row.width} × ${row.height}, ${count(row.bytes)} bytes`), fact("First seen", moment(row.first_seen)));
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
    ...section("Seen at", element("ul", { class: "places" }, ...places)),
    ...section("Methods", ...(values.length ? [methods] : [])),
    ...section("History", ...(history.length ? [element("ol", {}, ...history)] : [])),
  ];
}

export class Detail {
  constructor(aside, large, say) {
    this.aside = aside;
    this.large = large;
    this.say = say;
    this.timer = 0;
    this.row = null;
  }

  // Its row is shown at once, the rest when the focus has stayed.
  show(row) {
    this.row = row;
    clearTimeout(this.timer);
    if (row === null) {
      this.aside.replaceChildren();
      return;
    }
    const picture = element("div", { class: "picture" }, preview(row.sha256, ""));
    const rest = element("div", { class: "rest" });
    this.aside.replaceChildren(picture, element("h2", {}, fileName(row)), facts(row), rest);
    this.#enlarge(row);
    this.timer = setTimeout(() => this.#complete(row, rest), PATIENCE);
  }

  open() {
    if (this.row && !this.large.open) this.large.showModal();
  }

  #enlarge(row) {
    const image = this.large.querySelector("img");
    if (!image.src.endsWith(row.sha256)) image.src = `/preview/${row.sha256}`;
    image.alt = fileName(row);
    this.large.querySelector("#large-text").textContent = `${fileName(row)}: ${verdict(row)}${row.label ? `, ${row.label}` : ""}`;
  }

  async #complete(row, rest) {
    try {
      const found = await get(`/api/image/${row.sha256}`);
      if (this.row?.sha256 === row.sha256) rest.replaceChildren(...all(found));
    } catch (error) {
      this.say(error.message, true);
    }
  }
}

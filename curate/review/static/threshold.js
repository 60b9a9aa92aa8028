// The histogram of scores and the line between the sides, which a person may move and then apply.

import { get, post } from "./api.js";
import { SHAPES, TAGS, count, element, fileName, images, looks, number, percent, preview } from "./words.js";

const WIDTH = 720;
const HEIGHT = 120;
const STEPS = 1000;
const SETTLE = 150;
const SVG = "http://www.w3.org/2000/svg";

const drawn = (name, attributes) => {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
};

// For somebody who has never heard of a quantile.
const alarms = ({ mean, low, high, calibration }) =>
  `Of the uploads that do belong to your classes, about ${percent(mean)} are flagged by mistake; most likely between ${percent(low)} and ${percent(high)}, judging by ${images(calibration)} of yours that were held out.`;

export class Threshold {
  constructor(box, say, onApplied) {
    this.box = box;
    this.say = say;
    this.onApplied = onApplied;
    this.found = null;
    this.timer = 0;
    this.slider = box.querySelector("#slider");
    this.slider.addEventListener("input", () => this.#dragged());
    this.slider.addEventListener("keydown", (event) => this.#stepped(event));
    box.querySelector("#apply").addEventListener("click", () => this.#apply());
    box.querySelector("#reset").addEventListener("click", () => this.#reset());
  }

  // The button is of no more use then, and would take the focus with it.
  #reset() {
    this.#go(this.inForce);
    this.slider.focus();
  }

  async open() {
    await this.refresh();
    if (!this.slider.disabled) this.slider.focus();
  }

  async refresh() {
    const found = await get("api/scores");
    this.found = found;
    // At the rate of level i everything from score line[i] on is flagged: flagged[i] images.
    this.line = [];
    this.flagged = [];
    for (const [, images, lowest] of found.levels) {
      this.line.push(Math.min(lowest, this.line.at(-1) ?? Infinity));
      this.flagged.push(images + (this.flagged.at(-1) ?? 0));
    }
    this.inForce = found.levels.findLastIndex(([p]) => p <= found.rate);
    this.#draw();
    this.#go(this.inForce);
  }

  #draw() {
    const svg = this.box.querySelector("#histogram");
    svg.replaceChildren();
    const shown = this.found.histogram;
    this.slider.disabled = !shown || !this.found.levels.length;
    if (!shown) return;
    const tallest = Math.max(...shown.bins);
    const wide = WIDTH / shown.bins.length;
    shown.bins.forEach((images, place) => {
      const high = images ? Math.max((images / tallest) * (HEIGHT - 6), 2) : 0;
      svg.append(drawn("rect", { x: place * wide + 0.5, y: HEIGHT - high, width: wide - 1, height: high }));
    });
    this.cut = svg.appendChild(drawn("line", { y1: 0, y2: HEIGHT, class: "cut" }));
    this.box.querySelector("#low").textContent = number(shown.low);
    this.box.querySelector("#high").textContent = number(shown.high);
  }

  #place(score) {
    const { low, high } = this.found.histogram;
    return (score - low) / (high - low);
  }

  #dragged() {
    const { low, high } = this.found.histogram;
    const score = low + (this.slider.value / STEPS) * (high - low);
    this.#go(Math.max(this.line.findLastIndex((line) => line >= score), 0));
  }

  // Keys go from one rate at which something changes to the next.
  #stepped(event) {
    const step = { ArrowLeft: 1, ArrowDown: 1, ArrowRight: -1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    this.#go(Math.min(Math.max(this.level + step, 0), this.line.length - 1));
  }

  #go(level) {
    this.level = level;
    if (!this.found.histogram) {
      this.#write("#flagged", "No image has a score yet.");
      return;
    }
    const at = level < 0 ? 1 : this.#place(this.line[level]);
    this.slider.value = Math.round(at * STEPS);
    this.cut.setAttribute("x1", at * WIDTH);
    this.cut.setAttribute("x2", at * WIDTH);
    for (const [place, bar] of [...this.box.querySelectorAll("rect")].entries()) {
      bar.classList.toggle("ood", (place + 0.5) / this.found.histogram.bins.length > at);
    }
    this.#tell(null);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#preview(level), SETTLE);
  }

  get #rate() {
    return this.level === this.inForce ? this.found.rate : this.found.levels[this.level][0];
  }

  #write(where, text) {
    this.box.querySelector(where).textContent = text;
  }

  #tell(expected) {
    const flagged = this.level < 0 ? 0 : this.flagged[this.level];
    const more = flagged - (this.inForce < 0 ? 0 : this.flagged[this.inForce]);
    const change = more ? `, ${count(Math.abs(more))} ${more > 0 ? "more" : "fewer"} than now` : "";
    const told = `${images(flagged)} flagged${change}`;
    this.#write("#flagged", told);
    this.#write("#alarms", expected ? alarms(expected) : "");
    this.slider.setAttribute("aria-valuetext", `${told}, alarm rate ${percent(this.#rate)}`);
    this.#write("#apply", `Apply ${percent(this.#rate)}`);
    this.#write("#reset", `Back to ${percent(this.found.rate)}`);
    this.box.querySelector("#apply").disabled = this.level === this.inForce;
    this.box.querySelector("#reset").disabled = this.level === this.inForce;
  }

  async #preview(level) {
    try {
      const found = await get("api/threshold", { rate: this.#rate });
      if (level !== this.level) return;
      this.#tell(found.expected);
      const becomes = found.rate > this.found.rate ? "ood" : "id";
      const shown = found.rows.map((row) => element("li", {}, preview(row.sha256, `${fileName(row)}, ${looks(row)}`)));
      this.box.querySelector("#strip").replaceChildren(...shown);
      this.#write("#changing", shown.length ? `${SHAPES[becomes]} These would become ${TAGS[becomes]}, those nearest the line first` : "");
    } catch (error) {
      this.say(error.message, true);
    }
  }

  async #apply() {
    const before = this.found.rate;
    try {
      const answer = await post("api/rate", { rate: this.#rate });
      this.say(`Tags are made at ${percent(answer.standing.rate)} now; it was ${percent(before)}.`);
      await this.refresh();
      this.onApplied(answer.standing);
      this.slider.focus();
    } catch (error) {
      this.say(error.message, true);
    }
  }
}

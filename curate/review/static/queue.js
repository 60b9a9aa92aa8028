// The queue that is shown, read page after page as one walks or scrolls along.

import { get } from "./api.js";
import { images } from "./words.js";

// What a large screen shows at once; more would be drawn before any of it is seen.
const PAGE = 48;
const AHEAD = 30;
const NEAR = "800px";
const AGAIN = 3;

// After two frames it is known what is near.
const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))));

export class Queue {
  constructor(grid, judging, asks, end, on) {
    this.grid = grid;
    this.judging = judging;
    this.asks = asks;
    this.end = end;
    this.on = on;
    this.began = 0;
    this.ended = true;
    this.loading = false;
    this.near = false;
    const seen = ([entry]) => {
      this.near = entry.isIntersecting;
      this.further();
    };
    new IntersectionObserver(seen, { rootMargin: NEAR }).observe(end);
  }

  // Read the queue anew, from its first page; what is shown stays until that has come.
  async load() {
    this.began += 1;
    this.loading = false;
    const asked = this.asks();
    await this.#reading(asked, null, (page) => {
      this.asked = asked;
      this.grid.clear();
      this.on.standing(page.standing);
      this.#show(page);
      this.on.loaded();
    });
    await drawn();
    this.further();
  }

  // Show nothing but the reason.
  refuse(reason) {
    this.grid.clear();
    this.ended = true;
    this.end.textContent = reason;
  }

  // Read on where the end is near. A page looks at so many images and no more, so that one may be
  // short while others match beyond.
  async further() {
    const { rows, focus } = this.grid;
    if (this.loading || this.ended || !(this.near || rows.length - focus < AHEAD)) return;
    if (!(await this.#reading(this.asked, this.cursor, (page) => this.#show(page)))) return;
    await drawn();
    this.further();
  }

  // Whether a page was read and shown.
  async #reading(asked, cursor, show) {
    const { began } = this;
    this.loading = true;
    this.grid.box.setAttribute("aria-busy", "true");
    try {
      const page = await this.#page(asked, cursor);
      if (began !== this.began) return false;
      show(page);
      return true;
    } catch (error) {
      if (began === this.began) this.on.failed(error);
      return false;
    } finally {
      if (began === this.began) {
        this.loading = false;
        this.grid.box.removeAttribute("aria-busy");
      }
    }
  }

  // A page that was read before a change that is shown already would hide it: it is read again.
  async #page(asked, cursor) {
    for (let tried = 1; ; tried += 1) {
      const page = await get("api/queue", { ...asked, cursor, limit: PAGE });
      if (page.step >= this.judging.step || tried === AGAIN) return page;
    }
  }

  #show(page) {
    this.cursor = page.cursor;
    this.ended = page.cursor === null;
    this.grid.append(page.rows);
    if (page.standing) this.judging.reread(page.step);
    this.judging.shown(page.rows);
    this.end.textContent = this.#ending();
    this.on.more();
  }

  #ending() {
    const number = this.grid.rows.length;
    if (!this.ended) return number ? `${images(number)} so far, more below.` : "Looking…";
    return number ? `That is all: ${images(number)}.` : this.on.nothing();
  }
}

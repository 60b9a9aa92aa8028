// Words of the person: shown at once, sent one after the other, and corrected by what comes back.
// What others said meanwhile is never overwritten unseen: each request names the last step that
// was shown, and the server passes over images on which there is a newer word.

import { post } from "./api.js";
import { TAGS, fileName, images, said } from "./words.js";

export class Judging {
  constructor(grid, reviewer, say, onStanding) {
    this.grid = grid;
    this.reviewer = reviewer;
    this.say = say;
    this.onStanding = onStanding;
    this.step = 0;
    this.waiting = [];
    this.sending = null;
  }

  // A word on images that are shown; `said` is {verdict, class}.
  judge(rows, word) {
    for (const row of rows) this.grid.replace(this.#as(row, word));
    this.#queue({ path: "/api/reviews", rows: new Map(rows.map((row) => [row.sha256, row])), word });
  }

  // A word on everything that a query means.
  judgeAll(query, word) {
    this.#queue({ path: "/api/reviews", rows: new Map(), word, query });
  }

  undo() {
    this.#queue({ path: "/api/undo", rows: new Map() });
  }

  // Whether everything that was said is kept by now.
  get settled() {
    return !this.sending && !this.waiting.length;
  }

  // How an image looks until the server has answered; its model's tag is not known here.
  #as(row, word) {
    const back = word.verdict === "none";
    return {
      ...row,
      tag: back ? row.tag : word.verdict,
      label: word.class ?? row.label,
      reviewed_by: back ? null : this.reviewer,
    };
  }

  #queue(action) {
    this.waiting.push(action);
    if (!this.sending) this.#send();
  }

  async #send() {
    while (this.waiting.length) {
      this.sending = this.waiting.shift();
      await this.#one(this.sending);
    }
    this.sending = null;
    this.onStanding();
  }

  async #one(action) {
    if (action.word && !action.query && !action.rows.size) return;
    try {
      const answer = await post(action.path, this.#request(action));
      this.#take(answer, action);
      this.#tell(answer, action);
    } catch (error) {
      for (const row of action.rows.values()) this.grid.replace(row, "not kept");
      this.say(`Not kept: ${error.message}`, true);
    }
  }

  #request({ word, rows, query }) {
    if (!word) return { as_of: this.step };
    const meant = query === undefined ? { images: [...rows.keys()] } : { query };
    return { as_of: this.step, verdict: word.verdict, class: word.class ?? null, ...meant };
  }

  // Bring the grid up to a step. Rows that others changed say so, and a word that is still to be
  // sent on one of them is let go, for it was meant of what stood there before.
  #take(answer, action) {
    this.step = answer.step;
    const left = new Set(answer.left);
    const named = (sha256) => !action.word || action.query !== undefined || action.rows.has(sha256);
    const theirs = [];
    for (const row of answer.changes) {
      if (action && named(row.sha256) && !left.has(row.sha256)) {
        if (!this.#pending(row.sha256)) this.grid.replace(row);
        continue;
      }
      theirs.push(row);
      this.grid.replace(row, `changed: ${TAGS[row.tag]} ${said(row)}`);
      const dropped = this.waiting.filter((one) => one.rows.delete(row.sha256));
      if (dropped.length) this.say(`${fileName(row)} was changed meanwhile; your word on it was not recorded. Judge it again to overrule.`, true);
    }
    return theirs;
  }

  #pending(sha256) {
    return this.waiting.some((action) => action.rows.has(sha256));
  }

  #tell(answer, action) {
    if (!action.word) {
      this.say(answer.images ? `Undone: ${images(answer.images)} as before.` : "Nothing of yours to undo.");
      const place = answer.changes.map((row) => this.grid.places.get(row.sha256)).find((found) => found !== undefined);
      if (place !== undefined) this.grid.move(place);
    } else if (answer.passed_over) {
      const name = answer.passed_over === 1 && action.rows.size === 1 ? fileName([...action.rows.values()][0]) : images(answer.passed_over);
      this.say(`${name} changed meanwhile and kept what others said. Judge again to overrule.`, true);
    } else {
      const what = action.word.verdict === "none" ? "taken back" : action.word.class ?? TAGS[action.word.verdict];
      this.say(`${images(answer.images)}: ${what}.${answer.doubt ? ` Note that ${answer.doubt}.` : ""}`);
    }
    if (answer.many || action.query !== undefined) this.onMany();
  }

  // What the server says without being asked for a judgement.
  news(answer, since) {
    if (!this.settled || since !== this.step) return;
    const theirs = this.#take(answer, null);
    if (theirs.length) this.say(`${images(theirs.length)} changed by ${theirs[0].reviewed_by ?? "somebody"}.`);
    if (answer.many) this.onMany();
  }

  onMany() {}
}

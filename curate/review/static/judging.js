// Words of the person: shown at once, sent one after the other, and corrected by what comes back.
// What others said meanwhile is never overwritten unseen: each request names the last step that
// was shown, and the server passes over images on which there is a newer word.

import { post } from "./api.js";
import { TAGS, byModel, fileName, images, said } from "./words.js";

export class Judging {
  constructor(grid, reviewer, say) {
    this.grid = grid;
    this.reviewer = reviewer;
    this.say = say;
    this.step = 0;
    this.behind = false; // more has changed than was told, and the queue is not read anew yet
    this.rate = null;
    this.waiting = [];
    this.sending = null;
    this.kept = new Map(); // images with a word under way, as the server knows them
    this.letGo = []; // images with a word that is not sent, for others have changed them
    this.idle = Promise.resolve();
  }

  // A word on images that are shown; `word` is {verdict, class}.
  judge(rows, word) {
    for (const row of rows) {
      if (!this.kept.has(row.sha256)) this.kept.set(row.sha256, row);
      this.grid.replace(this.#as(row, word));
    }
    this.#queue({ path: "api/reviews", hashes: new Set(rows.map((row) => row.sha256)), word });
  }

  // A word on everything that a query means; `as_of` is the step as of which it was counted.
  judgeAll({ query, images: most, step, tagged_by }, word) {
    this.#queue({ path: "api/reviews", hashes: new Set(), word, query, most, tagged_by, as_of: step });
  }

  // What is meant is the word that is under way, if there is one: where nothing of it is kept,
  // there is nothing to take back.
  undo() {
    const last = this.waiting.at(-1) ?? this.sending;
    this.#queue({ path: "api/undo", hashes: new Set(), of: last?.word ? last : null, at: this.grid.focus });
  }

  // Whether everything that was said is kept by now.
  get settled() {
    return !this.sending && !this.waiting.length;
  }

  // Images of a page are shown with the words that are under way, but for those still to be sent
  // on what others have changed.
  shown(rows) {
    for (const row of rows) {
      const before = this.kept.get(row.sha256);
      if (!before) continue;
      if (row.reviewed_at !== before.reviewed_at && row.reviewed_by !== this.reviewer) this.#drop(row);
      this.#settle(row, null, [this.sending, ...this.waiting]);
    }
    this.#tellLetGo();
  }

  // How an image looks until the server has answered.
  #as(row, word) {
    if (word.verdict === "none") return byModel(row, this.rate);
    return { ...row, tag: word.verdict, label: word.class ?? row.label, reviewed_by: this.reviewer };
  }

  #queue(action) {
    if (this.behind) action.as_of ??= this.step;
    this.waiting.push(action);
    if (!this.sending) this.idle = this.#send();
  }

  async #send() {
    while (this.waiting.length) {
      this.sending = this.waiting.shift();
      await this.#one(this.sending);
    }
    this.sending = null;
  }

  async #one(action) {
    if (action.word && action.query === undefined && !action.hashes.size) {
      action.lost = true;
      return;
    }
    if (action.of?.lost) {
      this.say("Nothing of your last word was kept; nothing was taken back.", true);
      return;
    }
    try {
      const answer = await post(action.path, this.#request(action));
      action.lost = !answer.images;
      this.#take(answer, action);
      this.#tell(answer, action);
      this.#tellLetGo();
    } catch (error) {
      action.lost = true;
      for (const sha256 of action.hashes) this.#settle(this.kept.get(sha256), "not kept");
      this.say(`Not kept: ${error.message}`, true);
    }
  }

  #request({ word, hashes, query, most, tagged_by, as_of }) {
    if (!word) return { as_of: this.step };
    const meant = query === undefined ? { images: [...hashes] } : { query, most, tagged_by };
    return { as_of: as_of ?? this.step, verdict: word.verdict, class: word.class ?? null, ...meant };
  }

  // What the server holds of an image; it is shown with the newest word that is still under way.
  #settle(row, note, sent = this.waiting) {
    const under = sent.filter((action) => action?.hashes.has(row.sha256));
    if (!under.length) {
      this.kept.delete(row.sha256);
      this.grid.replace(row, note);
      return;
    }
    this.kept.set(row.sha256, row);
    this.grid.replace(this.#as(row, under.at(-1).word));
  }

  // The queue was read anew: all that is shown is as of this step.
  reread(step) {
    this.step = step;
    this.behind = false;
  }

  // More has changed than is told: nothing of it is shown, and the step stays, until the queue is
  // read anew. Words said until then are sent as of what is shown, however late that is.
  #fallBehind() {
    this.behind = true;
    for (const action of this.waiting) action.as_of ??= this.step;
    for (const sha256 of this.kept.keys()) {
      if (!this.waiting.some((action) => action.hashes.has(sha256))) this.kept.delete(sha256);
    }
  }

  // Bring the grid up to a step. Rows that others changed say so, and a word that is still to be
  // sent on one of them is let go, for it was meant of what stood there before.
  #take(answer, action) {
    if (answer.many) {
      this.#fallBehind();
      return [];
    }
    const theirs = answer.changes.filter((row) => !this.#ours(row, answer, action));
    this.step = answer.step;
    for (const row of theirs) this.#drop(row);
    for (const row of answer.changes) {
      if (theirs.includes(row)) this.#settle(row, `changed: ${TAGS[row.tag]} ${said(row)}`);
      else this.#settle(row, null);
    }
    return theirs;
  }

  #ours(row, answer, action) {
    if (!action) return false;
    if (action.word && action.query === undefined) return action.hashes.has(row.sha256) && !answer.left.includes(row.sha256);
    // A query and an undo name no images: what has somebody else's word by now is theirs.
    const meant = action.word ? !answer.left.includes(row.sha256) : answer.undone.includes(row.sha256);
    return meant && (row.reviewed_by ?? this.reviewer) === this.reviewer;
  }

  #drop(row) {
    const dropped = this.waiting.filter((action) => action.hashes.delete(row.sha256));
    if (dropped.length) this.letGo.push(row);
  }

  // Said last, so that nothing else hides it.
  #tellLetGo() {
    if (this.letGo.length) this.changedMeanwhile(this.letGo.length, this.letGo[0]);
    this.letGo = [];
  }

  // `row` is known where it is one image, unless it is neither shown nor told.
  changedMeanwhile(number, row) {
    const name = number === 1 && row ? fileName(row) : images(number);
    this.say(`${name} changed meanwhile: your word was not recorded there. Judge again to overrule.`, true);
  }

  #tell(answer, action) {
    if (!action.word) {
      this.say(answer.images ? `Undone: ${images(answer.images)} as before.` : "Nothing of yours to undo.");
      const place = answer.changes.map((row) => this.grid.places.get(row.sha256)).find((found) => found !== undefined);
      // Whoever has gone on since stays there.
      const stayed = this.grid.focus === action.at && !this.grid.selected.size;
      if (place !== undefined && answer.images && stayed) this.onUndone(place);
    } else if (answer.passed_over) {
      const [left] = answer.left;
      this.changedMeanwhile(answer.passed_over, this.grid.row(left) ?? answer.changes.find((row) => row.sha256 === left));
    } else {
      const what = action.word.verdict === "none" ? "taken back" : action.word.class ?? TAGS[action.word.verdict];
      this.say(`${images(answer.images)}: ${what}.${answer.doubt ? ` Note that ${answer.doubt}.` : ""}`);
    }
    if (answer.many || action.query !== undefined) this.onMany();
  }

  // What the server says without being asked for a judgement.
  news(answer, since) {
    if (!this.settled || since !== this.step) return;
    const theirs = this.#take(answer, null).filter((row) => this.grid.places.has(row.sha256));
    if (theirs.length) this.say(`${images(theirs.length)} changed by ${theirs[0].reviewed_by ?? "somebody"}.`);
    if (!answer.many) return;
    this.say(`More than ${images(answer.changes.length)} changed; the queue is read anew.`);
    this.onMany();
  }

  onMany() {}
  onUndone() {}
}

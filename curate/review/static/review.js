// The page: what buttons and keys do with the queue that is shown.

import { get } from "./api.js";
import { Classes } from "./classes.js";
import { Detail } from "./detail.js";
import { bindBlur, bindEdges } from "./frame.js";
import { Grid } from "./grid.js";
import { Judging } from "./judging.js";
import { bindKeys } from "./keys.js";
import { Queue } from "./queue.js";
import { Threshold } from "./threshold.js";
import { count, images, percent } from "./words.js";

const EVERY = 2000;
const START = { order: "highest", query: "tag:ood reviewed:no" };

const $ = (id) => document.getElementById(id);
const { reviewer, classes } = JSON.parse($("page").textContent);
const state = { all: null, counting: false, standing: null, seen: 0, asking: false, meant: [], stays: null };

function say(text, alarm = false) {
  for (const line of document.querySelectorAll(".said")) {
    line.textContent = text;
    line.toggleAttribute("data-alarm", alarm);
  }
}

const fails = (error) => say(error.message, true);
const detail = new Detail($("detail"), $("large"), say);
const grid = new Grid($("grid"), focused, selected);
const judging = new Judging(grid, reviewer, say);
const queue = new Queue(grid, judging, asked, $("end"), { loaded, more, failed, nothing, standing: begun });
const threshold = new Threshold($("threshold"), say, (standing) => {
  stand(standing);
  queue.load();
});
const asking = new Classes($("classes"), classes, (name) => judge({ verdict: "id", class: name }, state.meant));

function focused(row, note) {
  detail.show(row, note, `${count(grid.focus + 1)} of ${count(grid.rows.length)}${queue.ended ? "" : " so far"}`);
  queue.further();
}

function selected() {
  state.all = null;
  const number = grid.selected.size;
  $("selected").textContent = number ? `${images(number)} selected` : "";
}

function asked() {
  return { order: $("order").value, query: $("query").value.trim() };
}

function begun(standing) {
  state.standing = null;
  stand(standing);
  $("arrived").textContent = "";
  $("query").removeAttribute("aria-invalid");
  selected();
  detail.show(null);
}

function loaded() {
  if (detail.enlarged && !grid.rows.length) $("large").close();
  const place = grid.places.get(state.stays) ?? 0;
  state.stays = null;
  grid.move(place, { take: inGrid() || document.activeElement === $("reload") });
  if (!place) scrollTo(0, 0);
}

function more() {
  if (grid.awaiting) next(!detail.enlarged && inGrid());
}

// Whether the browser's focus is in the grid, or nowhere.
function inGrid() {
  const active = document.activeElement;
  return active === document.body || $("grid").contains(active);
}

function failed(error) {
  fails(error);
  if (error.status !== 400) return;
  queue.refuse(error.message);
  detail.show(null);
  selected();
  $("query").setAttribute("aria-invalid", "true");
}

// Why the grid is empty, and what to do.
function nothing() {
  const { images: held, pending, detector } = state.standing;
  const byScore = queue.asked.order !== "newest";
  if (!held) return "The catalog is empty. `curate watch INBOX` or `curate ingest PATH` fills it.";
  if (!detector && byScore) return "There is no network yet: `curate train LABELED` makes one. The queue “newest first” shows images without it.";
  if (pending === held && byScore) return `Every image waits for its score (${images(pending)}). The queue “newest first” shows them meanwhile.`;
  if (queue.asked.query === START.query) return "Nothing left to judge here: every flagged image has a person’s word.";
  return "No image matches.";
}

// No word is meant for an image that has not come yet.
function coming() {
  if (!grid.awaiting) return false;
  say("The next image is on its way.", true);
  queue.further(); // the last attempt may have failed
  return true;
}

// Words that fall on what has changed since the person looked are not recorded.
function judge(word, meant = targets()) {
  if (state.counting) say("Still counting what matches.", true);
  else if (coming()) return;
  else if (state.all && !detail.enlarged) {
    judging.judgeAll(state.all, word);
    grid.deselect();
  } else judgeRows(meant.filter(unchanged), word, meant);
}

function judgeRows(rows, word, meant) {
  const recorded = new Set(rows);
  const changed = meant.filter((row) => !recorded.has(row));
  const single = meant.length === 1 && (detail.enlarged || !grid.selected.size);
  if (rows.length) judging.judge(rows, word);
  if (changed.length) judging.changedMeanwhile(changed.length, changed[0]);
  else if (single) next();
  if (!single) grid.deselect();
}

// Behind the last image that was read the one to come is waited for.
function next(take = !detail.enlarged) {
  grid.awaiting = grid.focus + 1 === grid.rows.length && !queue.ended;
  if (grid.awaiting) queue.further();
  else grid.move(grid.focus + 1, { take });
}

function unchanged(row) {
  const now = grid.row(row.sha256);
  return now && now.tag === row.tag && now.reviewed_by === row.reviewed_by && now.label === row.label;
}

// In the large view a word falls on what is seen there.
function targets() {
  return detail.enlarged ? [grid.current] : grid.targets();
}

async function all() {
  if (detail.enlarged || state.counting || !grid.rows.length) return;
  const { began } = queue;
  state.counting = true;
  try {
    await judging.idle;
    const found = await get("api/matching", { query: queue.asked.query });
    if (began !== queue.began) return;
    grid.selectAll();
    state.all = { query: queue.asked.query, ...found };
    const taken = Math.min(found.images, found.at_once);
    const judged = found.reviewed ? `, ${count(found.reviewed)} of them judged before` : "";
    const part = taken < found.images ? `the first ${images(taken)} of ${count(found.images)}` : `all ${images(taken)}`;
    $("selected").textContent = `${part} that match${judged}`;
    say(`Selected ${part} that match${judged}. O, I, C or U judges them at once, Z undoes it; Esc lets go.`);
  } catch (error) {
    fails(error);
  } finally {
    state.counting = false;
  }
}

function release() {
  if (detail.enlarged) $("large").close();
  else if (grid.selected.size || state.all) {
    grid.deselect();
    selected();
  } else if (!$("threshold").hidden) toggleThreshold();
}

function toggleThreshold() {
  const visible = $("threshold").hidden;
  $("threshold").hidden = !visible;
  $("threshold-button").setAttribute("aria-expanded", String(visible));
  if (visible) threshold.open().catch(fails);
  else grid.take();
}

function askClass() {
  if (coming()) return;
  state.meant = targets();
  if (state.meant.length || state.all) asking.open();
}

const keys = {
  o: () => judge({ verdict: "ood" }),
  i: () => judge({ verdict: "id" }),
  u: () => judge({ verdict: "none" }),
  c: askClass,
  z: () => judging.undo(),
  r: () => queue.load(),
  t: () => detail.enlarged || toggleThreshold(),
  " ": () => (detail.enlarged ? $("large").close() : detail.open()),
  "?": () => $("help").showModal(),
  escape: release,
};

function move(to, extend) {
  grid.move(to, { extend: extend && !detail.enlarged, take: !detail.enlarged });
}

function stand(standing) {
  const shown = asked().order === "newest" ? standing.images : standing.images - standing.pending;
  if (!state.standing) state.seen = shown;
  state.standing = standing;
  judging.rate = standing.rate;
  const waiting = standing.pending ? `, ${count(standing.pending)} pending` : "";
  const interval = standing.share_interval ? ` (${percent(standing.share_interval[0])} to ${percent(standing.share_interval[1])})` : "";
  const share = standing.share === null ? "" : ` · about ${percent(standing.share)} of the inbox is OOD${interval}`;
  $("standing").textContent = `${images(standing.images)}: ${count(standing.ood)} OOD, ${count(standing.id)} ID${waiting} · ${count(standing.reviewed)} judged · alarm rate ${percent(standing.rate)}${share}`;
  const fresh = shown - state.seen;
  if (fresh > 0 && $("reload").hidden) $("arrived").textContent = "New images have arrived; R reads the queue anew.";
  $("reload").hidden = fresh <= 0;
  $("reload-count").textContent = `${count(fresh)} new`;
}

async function news() {
  if (document.hidden || state.asking) return;
  state.asking = true;
  try {
    const since = judging.step;
    const answer = await get("api/news", { since });
    if (state.standing) stand(answer.standing);
    judging.news(answer, since);
    lost("");
  } catch (error) {
    lost(`${error.message}. Nothing that you judge here is kept.`);
  } finally {
    state.asking = false;
  }
}

function lost(reason) {
  if ($("lost").textContent !== reason) $("lost").textContent = reason;
  $("lost").hidden = !reason;
}

function remember() {
  history.replaceState(null, "", `?${new URLSearchParams(asked())}`);
}

function restore() {
  const given = new URLSearchParams(location.search);
  $("order").value = given.get("order") ?? START.order;
  if (!$("order").value) $("order").value = START.order;
  $("query").value = given.get("query") ?? START.query;
  remember(); // the token leaves the address
}

function bindFilter() {
  $("filter").addEventListener("submit", (event) => {
    event.preventDefault();
    remember();
    queue.load();
  });
  $("order").addEventListener("change", () => {
    // Of a random sample all is judged: what only some of it shows would be no random sample.
    if ($("order").value === "audit") $("query").value = "";
    $("filter").requestSubmit();
  });
}

function bindButtons() {
  for (const button of document.querySelectorAll("[data-key]")) {
    button.addEventListener("click", () => {
      keys[button.dataset.key]();
      if (detail.enlarged) $("large").focus();
      else if (!document.querySelector("dialog[open]")) grid.take();
    });
  }
  for (const button of document.querySelectorAll("dialog .close")) {
    button.addEventListener("click", () => button.closest("dialog").close());
  }
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("close", () => document.querySelector("dialog[open]") || grid.take());
  }
  $("help-button").addEventListener("click", keys["?"]);
  $("threshold-button").addEventListener("click", toggleThreshold);
  $("grid").addEventListener("focus", () => grid.take());
}

function begin() {
  restore();
  bindEdges();
  bindFilter();
  bindButtons();
  bindBlur();
  bindKeys(grid, { keys, all, move });
  judging.onMany = () => {
    state.stays = grid.current?.sha256; // nobody asked for another image
    queue.load();
  };
  judging.onUndone = (place) => grid.move(place, { take: !detail.enlarged && inGrid() });
  addEventListener("beforeunload", (event) => judging.settled || event.preventDefault());
  document.addEventListener("visibilitychange", news);
  setInterval(news, EVERY);
  queue.load();
}

begin();

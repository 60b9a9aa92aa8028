// The page: the queue that is shown, and what buttons and keys do with it.

import { get } from "./api.js";
import { Classes } from "./classes.js";
import { Detail } from "./detail.js";
import { Grid } from "./grid.js";
import { Judging } from "./judging.js";
import { bindKeys } from "./keys.js";
import { Threshold } from "./threshold.js";
import { count, images, percent } from "./words.js";

const PAGE = 100;
const AHEAD = 30;
const EVERY = 2000;
const SEARCHED = 5;
const START = { order: "highest", query: "tag:ood reviewed:no" };

const $ = (id) => document.getElementById(id);
const { reviewer, classes } = JSON.parse($("page").textContent);
const state = { cursor: null, ended: false, loading: false, began: 0, arrived: 0, all: null, standing: null };

function say(text, alarm = false) {
  const line = $("said");
  line.textContent = text;
  line.toggleAttribute("data-alarm", alarm);
}

const detail = new Detail($("detail"), $("large"), say);
const grid = new Grid($("grid"), focused, selected);
const judging = new Judging(grid, reviewer, say, () => detail.show(grid.current));
const threshold = new Threshold($("threshold"), say, (standing) => {
  stand(standing);
  load();
});
const asking = new Classes($("classes"), classes, (name) => judge({ verdict: "id", class: name }));

function focused(row) {
  detail.show(row);
  if (grid.rows.length - grid.focus < AHEAD) more();
}

function selected() {
  state.all = null;
  const number = grid.selected.size;
  $("selected").textContent = number > 1 ? `${images(number)} selected` : "";
}

// Read the queue anew, from its first page.
async function load() {
  state.began += 1;
  Object.assign(state, { cursor: null, ended: false, loading: false, all: null });
  $("reload").hidden = true;
  grid.clear();
  selected();
  detail.show(null);
  await more();
  if (grid.rows.length) grid.move(0, { take: ours(document.activeElement) });
}

const ours = (active) => active === document.body || $("grid").contains(active) || active === $("reload");

const asked = () => ({ order: $("order").value, query: $("query").value.trim() });

// A page looks at so many images and no more; where few of them match it takes several.
async function more() {
  if (state.loading || state.ended) return;
  state.loading = true;
  const { began } = state;
  const wanted = grid.rows.length + PAGE / 2;
  try {
    for (let tried = 0; tried < SEARCHED && !state.ended && grid.rows.length < wanted; tried += 1) {
      const page = await get("/api/queue", { ...asked(), cursor: state.cursor, limit: PAGE });
      if (began !== state.began) return;
      if (state.cursor === null) judging.step = page.step;
      grid.append(page.rows);
      state.cursor = page.cursor;
      state.ended = page.cursor === null;
    }
    $("end").textContent = ending();
  } catch (error) {
    if (began === state.began) {
      state.ended = true;
      $("end").textContent = "";
      say(error.message, true);
    }
  } finally {
    if (began === state.began) state.loading = false;
  }
}

function ending() {
  if (!state.ended) return "More below.";
  return grid.rows.length ? `That is all: ${images(grid.rows.length)}.` : "Nothing to show: no image matches.";
}

function judge(word) {
  if (state.all) {
    judging.judgeAll(state.all.query, word);
    state.all = null;
    grid.deselect();
    return;
  }
  const rows = grid.targets();
  if (!rows.length) return;
  const single = rows.length === 1 && !grid.selected.size;
  judging.judge(rows, word);
  if (single) grid.move(grid.focus + 1, { take: !$("large").open });
  else grid.deselect();
  detail.show(grid.current);
}

async function all() {
  const { query } = asked();
  try {
    const found = await get("/api/matching", { query });
    grid.selectAll();
    state.all = { query, ...found };
    const taken = Math.min(found.images, found.at_once);
    const judged = found.reviewed ? `, ${count(found.reviewed)} of them judged before` : "";
    const part = taken < found.images ? `the first ${images(taken)} of ${count(found.images)}` : `all ${images(taken)}`;
    $("selected").textContent = `${part} that match${judged}`;
    say(`Selected ${part} that match${judged}. O, I, C or U judges them at once, Z undoes it; Esc lets go.`);
  } catch (error) {
    say(error.message, true);
  }
}

function release() {
  if ($("large").open) $("large").close();
  else grid.deselect();
}

function show(section, visible) {
  section.hidden = !visible;
  $("threshold-button").setAttribute("aria-expanded", String(visible));
  if (visible) threshold.refresh().catch((error) => say(error.message, true));
}

const toggleThreshold = () => show($("threshold"), $("threshold").hidden);

const keys = {
  o: () => judge({ verdict: "ood" }),
  i: () => judge({ verdict: "id" }),
  u: () => judge({ verdict: "none" }),
  c: () => grid.targets().length && asking.open(),
  z: () => judging.undo(),
  r: load,
  t: toggleThreshold,
  " ": () => ($("large").open ? $("large").close() : detail.open()),
  "?": () => $("help").showModal(),
  escape: release,
};

function stand(standing) {
  if (state.standing && standing.images > state.standing.images) state.arrived += standing.images - state.standing.images;
  state.standing = standing;
  const waiting = standing.pending ? `, ${count(standing.pending)} pending` : "";
  const interval = standing.share_interval ? ` (${percent(standing.share_interval[0])} to ${percent(standing.share_interval[1])})` : "";
  const share = standing.share === null ? "" : ` OOD share about ${percent(standing.share)}${interval}.`;
  $("standing").textContent = `${images(standing.images)}: ${count(standing.id)} ID, ${count(standing.ood)} OOD${waiting}; ${count(standing.reviewed)} judged. Alarm rate ${percent(standing.rate)}.${share}`;
  $("reload").hidden = !state.arrived;
  $("reload").textContent = `${images(state.arrived)} arrived: read anew (R)`;
}

async function news() {
  if (document.hidden) return;
  try {
    const since = judging.step;
    const answer = await get("/api/news", { since });
    judging.news(answer, since);
    stand(answer.standing);
    document.body.removeAttribute("data-lost");
  } catch (error) {
    if (!document.body.hasAttribute("data-lost")) say(error.message, true);
    document.body.setAttribute("data-lost", "");
  }
}

function remember() {
  const place = new URLSearchParams(asked());
  history.replaceState(null, "", `/?${place}`);
}

function begin() {
  const given = new URLSearchParams(location.search);
  $("order").value = given.get("order") ?? START.order;
  if (!$("order").value) $("order").value = START.order;
  $("query").value = given.get("query") ?? START.query;
  remember(); // the token leaves the address
  $("filter").addEventListener("submit", (event) => {
    event.preventDefault();
    remember();
    state.arrived = 0;
    load();
  });
  $("order").addEventListener("change", () => $("filter").requestSubmit());
  for (const button of document.querySelectorAll("[data-key]")) {
    button.addEventListener("click", () => {
      keys[button.dataset.key]();
      grid.cells[grid.focus]?.focus({ preventScroll: true });
    });
  }
  for (const button of document.querySelectorAll("dialog .close")) {
    button.addEventListener("click", () => button.closest("dialog").close());
  }
  $("large").addEventListener("close", () => grid.move(grid.focus));
  $("classes").addEventListener("close", () => grid.cells[grid.focus]?.focus({ preventScroll: true }));
  $("help-button").addEventListener("click", keys["?"]);
  $("threshold-button").addEventListener("click", toggleThreshold);
  $("blur").checked = localStorage.getItem("blur") === "yes";
  $("blur").addEventListener("change", () => {
    localStorage.setItem("blur", $("blur").checked ? "yes" : "no");
    document.body.toggleAttribute("data-blur", $("blur").checked);
  });
  document.body.toggleAttribute("data-blur", $("blur").checked);
  $("grid").addEventListener("focus", () => grid.rows.length && grid.move(Math.max(grid.focus, 0)));
  new IntersectionObserver(([seen]) => seen.isIntersecting && more(), { rootMargin: "800px" }).observe($("end"));
  judging.onMany = load;
  bindKeys(grid, { keys, all, enlarged: () => $("large").open });
  load();
  news();
  setInterval(news, EVERY);
}

begin();

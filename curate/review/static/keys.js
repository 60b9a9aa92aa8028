// Which key does what. Keys that move never judge, and keys that judge never choose what is judged.

const MOVES = {
  ArrowLeft: (grid) => grid.focus - 1,
  ArrowRight: (grid) => grid.focus + 1,
  ArrowUp: (grid) => grid.focus - grid.columns(),
  ArrowDown: (grid) => grid.focus + grid.columns(),
  PageUp: (grid) => grid.focus - 3 * grid.columns(),
  PageDown: (grid) => grid.focus + 3 * grid.columns(),
  Home: () => 0,
  End: (grid) => grid.rows.length - 1,
};
const CLOSING = ["t", "escape", "?"];

// In a field letters are text; in a dialog but the large view, and on the slider, they mean nothing.
const isText = (target) => target.matches("select, textarea, input:not([type=checkbox], [type=range])");
const listens = (target) => !isText(target) && !target.closest("dialog:not(#large)");

export function bindKeys(grid, actions) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || !listens(event.target)) return;
    if (event.target.matches("button, a, input") && (event.key === " " || event.key === "Enter")) return;
    if (pressed(event, grid, actions)) event.preventDefault();
  });
}

function pressed(event, grid, actions) {
  const key = event.key.toLowerCase();
  const control = event.ctrlKey || event.metaKey;
  if (event.target.closest("#threshold") && (control || !CLOSING.includes(key))) return false;
  if (control && key === "a") return called(actions.all);
  if (control || event.altKey) return false;
  const move = MOVES[event.key];
  if (move && event.target.id === "detail") return false; // there they scroll
  if (move) return called(() => actions.move(move(grid), event.shiftKey));
  const action = actions.keys[key];
  // A key that is held down moves on and on, but judges once: nobody has seen the next image.
  return action ? called(event.repeat ? () => {} : action) : false;
}

function called(action) {
  action();
  return true;
}

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

// Letters work where the grid, the large view or nothing has the focus: in a field they are text.
const listens = (target) => target === document.body || target.closest("#grid, #large") !== null;

export function bindKeys(grid, actions) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || !listens(event.target)) return;
    if (event.target.closest("button") && (event.key === " " || event.key === "Enter")) return;
    if (pressed(event, grid, actions)) event.preventDefault();
  });
}

function pressed(event, grid, actions) {
  const control = event.ctrlKey || event.metaKey;
  if (control && event.key.toLowerCase() === "a") return called(actions.all);
  if (control || event.altKey) return false;
  const move = MOVES[event.key];
  if (move) return called(() => grid.move(move(grid), { extend: event.shiftKey, take: !actions.enlarged() }));
  const action = actions.keys[event.key.toLowerCase()];
  return action ? called(action) : false;
}

function called(action) {
  action();
  return true;
}

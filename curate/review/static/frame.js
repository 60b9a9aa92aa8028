// What frames the queue: previews blurred on wish, and lines that stick to the edges.

const $ = (id) => document.getElementById(id);

export function bindBlur() {
  const blur = () => document.body.toggleAttribute("data-blur", $("blur").checked);
  $("blur").checked = localStorage.getItem("blur") === "yes";
  $("blur").addEventListener("change", () => {
    localStorage.setItem("blur", $("blur").checked ? "yes" : "no");
    blur();
  });
  blur();
}

// What sticks to the edges covers nothing that is scrolled to.
export function bindEdges() {
  const { style } = document.documentElement;
  const above = new ResizeObserver(() => style.setProperty("--above", `${$("lost").offsetHeight}px`));
  const below = new ResizeObserver(([{ target }]) => style.setProperty("--below", `${target.offsetHeight}px`));
  above.observe($("lost"));
  below.observe(document.querySelector("footer"));
}

// The dialog that asks for a class: a combobox over the network's classes, open for a new one.

import { element } from "./words.js";

export class Classes {
  constructor(dialog, names, onChosen) {
    this.dialog = dialog;
    this.names = names;
    this.onChosen = onChosen;
    this.input = dialog.querySelector("input");
    this.list = dialog.querySelector("[role=listbox]");
    this.input.addEventListener("input", () => this.#filter());
    this.input.addEventListener("keydown", (event) => this.#key(event));
    this.list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.#choose(option.dataset.name);
    });
  }

  open() {
    this.input.value = "";
    this.#filter();
    this.dialog.showModal();
    this.input.focus();
  }

  #filter() {
    const typed = this.input.value.trim();
    const low = typed.toLowerCase();
    const begin = this.names.filter((name) => name.toLowerCase().startsWith(low));
    const within = this.names.filter((name) => !begin.includes(name) && name.toLowerCase().includes(low));
    const found = [...begin, ...within].map((name) => [name, name]);
    if (typed && !this.names.includes(typed)) found.push([typed, `${typed} (new)`]);
    this.options = found.map(([name, title], place) => {
      const option = element("div", { role: "option", id: `class-${place}`, "aria-selected": "false" }, title);
      option.dataset.name = name;
      return option;
    });
    this.list.replaceChildren(...this.options);
    this.#mark(0);
  }

  #mark(place) {
    this.place = Math.min(Math.max(place, 0), this.options.length - 1);
    this.options.forEach((option, at) => option.setAttribute("aria-selected", String(at === this.place)));
    const option = this.options[this.place];
    option?.scrollIntoView({ block: "nearest" });
    if (option) this.input.setAttribute("aria-activedescendant", option.id);
    else this.input.removeAttribute("aria-activedescendant");
  }

  #key(event) {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      this.#mark(this.place + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter") {
      event.preventDefault();
      const option = this.options[this.place];
      if (option) this.#choose(option.dataset.name);
    }
  }

  #choose(name) {
    this.dialog.close();
    this.onChosen(name);
  }
}

// An editable combobox with a list, after the ARIA Authoring Practices: arrows, Enter, Escape, and typing to search.

import { fill, h } from "./dom.js";

/**
 * @typedef {{value: string, detail: string}} Option
 *
 * @param {HTMLInputElement} input
 * @param {HTMLElement} list
 * @param {Option[]} options
 * @param {(value: string) => void} chosen also while typing, with what stands there
 */
export function combobox(input, list, options, chosen) {
  /** @type {Option[]} */
  let shown = [];
  let active = -1;

  /** @param {boolean} all shows every option: opening by arrow or click is no search */
  const open = (all) => {
    const words = all ? [] : input.value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = options.filter(({ value, detail }) => words.every((word) => `${value} ${detail}`.toLowerCase().includes(word)));
    active = all ? shown.findIndex(({ value }) => value === input.value) : -1;
    fill(
      list,
      shown.map(({ value, detail }, index) =>
        h(
          "li",
          {
            id: `${list.id}-${index}`,
            role: "option",
            "aria-selected": String(value === input.value),
            // A pointer's press must not take the focus out of the input before the click.
            onpointerdown: (/** @type {Event} */ event) => event.preventDefault(),
            onclick: () => choose(index),
          },
          h("span", { class: "option-value" }, value),
          h("span", { class: "option-detail" }, detail),
        ),
      ),
    );
    list.hidden = shown.length === 0;
    input.setAttribute("aria-expanded", String(!list.hidden));
    mark();
  };
  const close = () => {
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const mark = () => {
    [...list.children].forEach((option, index) => option.classList.toggle("active", index === active));
    const option = list.children[active];
    if (option) {
      input.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  };
  /** @param {number} index */
  const choose = (index) => {
    input.value = shown[index].value;
    close();
    chosen(input.value);
  };
  /** @param {number} step */
  const move = (step) => {
    if (list.hidden) open(true);
    const from = active === -1 && step < 0 ? 0 : active;
    if (shown.length > 0) active = (from + step + shown.length) % shown.length;
    mark();
  };

  input.addEventListener("input", () => {
    open(false);
    chosen(input.value.trim());
  });
  input.addEventListener("click", () => (list.hidden ? open(true) : close()));
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      move(event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Enter" && active !== -1) {
      event.preventDefault();
      choose(active);
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      close();
    }
  });
}

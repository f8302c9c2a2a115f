// Making and keeping elements. Text only ever goes in as text, so nothing that a cloud or a node says becomes markup.

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [props] attributes; `on*` functions are listeners; null and false are left out
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  fill(element, ...children);
  return element;
}

/** Replace what an element holds. @param {Element} element @param {...(Child | Child[])} children */
export function fill(element, ...children) {
  element.replaceChildren(
    ...children.flat().filter((child) => child !== null && child !== undefined && child !== false && child !== "")
      .map((child) => (child instanceof Node ? child : String(child))),
  );
}

/** Write only what changed: a selection or a screen reader's place in the text survives. @param {Element} element @param {string} text */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {string} name */
export function icon(name) {
  const svg = shape("svg", { class: `icon icon-${name}`, "aria-hidden": "true", focusable: "false" });
  svg.append(shape("use", { href: `/assets/icons.svg#${name}` }));
  return svg;
}

/** @param {string} tag @param {Record<string, string | number>} attributes */
export function shape(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

/** A copy of a `<template>` of launch.html. @param {string} id */
export function template(id) {
  const found = document.getElementById(id);
  if (!(found instanceof HTMLTemplateElement)) throw new Error(`launch.html has no template ${id}`);
  return /** @type {DocumentFragment} */ (found.content.cloneNode(true));
}

/**
 * The element that the view's own HTML promises.
 * @param {ParentNode} root @param {string} selector @returns {any}
 */
export function find(root, selector) {
  const found = root.querySelector(selector);
  if (found === null) throw new Error(`launch.html has no ${selector}`);
  return found;
}

/** @param {string} at @param {string} text */
export const time = (at, text) => h("time", { datetime: at, title: at }, text);

/** @param {...[string, Child | Child[]]} pairs */
export function facts(...pairs) {
  return h("dl", { class: "facts" }, pairs.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** @type {WeakMap<Element, Map<string | number, {element: Element, update: (item: any) => void}>>} */
const kept = new WeakMap();

/**
 * Show items as children, one element per key that stays itself: focus and open details survive an update.
 * @template T
 * @param {Element} parent
 * @param {T[]} items
 * @param {(item: T) => string | number} key
 * @param {(item: T) => {element: Element, update: (item: T) => void}} make
 */
export function keyed(parent, items, key, make) {
  const known = kept.get(parent) ?? new Map();
  kept.set(parent, known);
  const wanted = new Set(items.map(key));
  for (const [name, { element }] of known) {
    if (!wanted.has(name)) {
      element.remove();
      known.delete(name);
    }
  }
  items.forEach((item, index) => {
    let part = known.get(key(item));
    if (part === undefined) known.set(key(item), (part = make(item)));
    else part.update(item);
    const there = parent.children[index] ?? null;
    if (there !== part.element) parent.insertBefore(part.element, there);
  });
}

/**
 * A part that is made anew when its item changed, and keeps which of its details are open.
 * @template T
 * @param {T} item @param {(item: T) => Element} draw
 */
export function redrawn(item, draw) {
  let text = JSON.stringify(item);
  const part = {
    element: draw(item),
    /** @param {T} next */
    update(next) {
      const now = JSON.stringify(next);
      if (now === text) return;
      text = now;
      const open = [...part.element.querySelectorAll("details")].map((details) => details.open);
      const fresh = draw(next);
      fresh.querySelectorAll("details").forEach((details, index) => {
        details.open = open[index] ?? details.open;
      });
      part.element.replaceWith(fresh);
      part.element = fresh;
    },
  };
  return part;
}

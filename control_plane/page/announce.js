// What screen readers are told without being asked: the newest of what there is to say, and not too often.

import { find } from "./dom.js";

const QUIET = 5000;
let last = 0;
let timer = 0;

/** @param {string} text @param {{soon?: boolean}} [options] soon: this may not wait */
export function announce(text, { soon = false } = {}) {
  clearTimeout(timer);
  const wait = soon ? 0 : Math.max(0, last + QUIET - performance.now());
  timer = window.setTimeout(() => {
    last = performance.now();
    find(document, "#live").textContent = text;
  }, wait);
}

export function hush() {
  clearTimeout(timer);
  find(document, "#live").textContent = "";
}

// The log pane: the engine's and the node's lines, following the end unless somebody has scrolled up to read.

import { fill, find, h } from "./dom.js";
import { query } from "./api.js";
import { timeOfDay } from "./format.js";

/** @typedef {import("./contract.js").LogLines} LogLines */

/** More would make a phone slow; the rest is one click away as plain text. */
const MOST = 4000;
const NEAR = 24;
const BURST = 40;

export class LogPane {
  /** @param {HTMLElement} root the view @param {string} jobId */
  constructor(root, jobId) {
    this.pane = /** @type {HTMLElement} */ (find(root, "#log"));
    this.toEnd = /** @type {HTMLElement} */ (find(root, "#log-end"));
    /** @type {LogLines[]} */
    this.waiting = [];
    this.following = true;
    this.pane.dataset.empty = "true";
    this.pane.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.toEnd.addEventListener("click", () => {
      this.follow();
      this.pane.focus();
    });
    find(root, "#log-filter").addEventListener("change", (/** @type {Event} */ event) => {
      this.pane.dataset.show = /** @type {HTMLInputElement} */ (event.target).value;
      if (this.following) this.follow();
    });
    const link = (/** @type {string} */ source) =>
      h("a", { href: query("/admin/instances/logs", { job_id: jobId, source }), target: "_blank" }, `${source} log`);
    fill(find(root, "#log-links"), "All lines as plain text: ", link("engine"), ", ", link("node"), ".");
  }

  /** @param {LogLines} lines */
  add(lines) {
    if (this.waiting.push(lines) === 1) setTimeout(() => this.flush(), BURST);
  }

  flush() {
    const parts = this.waiting.flatMap(({ source, lines, at }) => lines.map((line) => row(source, line, at)));
    this.waiting = [];
    if (parts.length === 0) return;
    delete this.pane.dataset.empty;
    this.pane.append(...parts);
    while (this.pane.childElementCount > MOST) this.pane.firstElementChild?.remove();
    if (this.following) this.follow();
  }

  follow() {
    this.following = true;
    this.pane.scrollTop = this.pane.scrollHeight;
    this.toEnd.hidden = true;
  }

  scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this.pane;
    this.following = scrollTop + clientHeight >= scrollHeight - NEAR;
    this.toEnd.hidden = this.following;
  }
}

/** @param {string} source @param {string} line @param {string} at */
const row = (source, line, at) =>
  h("div", { class: `line ${source}` }, h("span", { class: "line-time" }, timeOfDay(at)), h("span", { class: "line-source" }, source), h("span", { class: "line-text" }, line || " "));

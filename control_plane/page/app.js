// Which view an address shows, who is signed in, and what stays around the views.

import { Problem, get, onSignedOut, request } from "./api.js";
import { fill, find, template } from "./dom.js";
import * as form from "./form.js";
import * as history_ from "./history.js";
import * as nodes from "./nodes.js";
import * as progress from "./progress.js";
import * as signin from "./signin.js";

/** @typedef {import("./contract.js").Session} Session */

/**
 * What a view gets; `signal` ends it.
 * @typedef {object} Context
 * @property {string} id the last part of the address, or empty
 * @property {URLSearchParams} query
 * @property {AbortSignal} signal
 * @property {boolean} mayLaunch
 * @property {string} whyNot why it may not
 * @property {(path: string) => void} go
 * @property {(...parts: string[]) => void} title
 */

/** @type {[RegExp, (main: HTMLElement, context: Context) => Promise<void>][]} */
const VIEWS = [
  [/^\/launch\/?$/, form.show],
  [/^\/launch\/([^/]+)$/, progress.show],
  [/^\/launches\/?$/, history_.show],
  [/^\/nodes\/?$/, nodes.showAll],
  [/^\/nodes\/([^/]+)$/, nodes.showOne],
];

const main = /** @type {HTMLElement} */ (find(document, "#main"));
/** @type {Session | null} */
let session = null;
let current = new AbortController();

const title = (/** @type {string[]} */ ...parts) => {
  const text = [...parts, "Liftoff"].join(" – ");
  if (document.title !== text) document.title = text;
};

/** @param {string} path */
function go(path) {
  history.pushState(null, "", path);
  void show({ focus: true });
}

/** @param {{focus?: boolean}} [options] a change of view moves the focus to its heading, a first load does not */
async function show({ focus = false } = {}) {
  current.abort();
  current = new AbortController();
  const { signal } = current;
  surround();
  if (session === null) {
    signin.show(main, { signedIn, title });
  } else {
    const [view, id] = route();
    const mayLaunch = session.scopes.includes("launch");
    const whyNot = `The token ${session.name} may only look. A token with the scope launch may do this.`;
    const query = new URLSearchParams(location.search);
    try {
      await view(main, { id, query, signal, mayLaunch, whyNot, go, title });
    } catch (error) {
      if (signal.aborted) return;
      problem(/** @type {Error} */ (error));
    }
  }
  if (signal.aborted) return;
  if (focus) {
    window.scrollTo(0, 0);
    main.querySelector("h1")?.focus({ preventScroll: true });
  }
}

/** @returns {[(main: HTMLElement, context: Context) => Promise<void>, string]} */
function route() {
  for (const [pattern, view] of VIEWS) {
    const match = pattern.exec(location.pathname);
    if (match) return [view, decodeURIComponent(match[1] ?? "")];
  }
  return [form.show, ""];
}

function surround() {
  find(document, "#nav").hidden = session === null;
  find(document, "#who").hidden = session === null;
  if (session !== null) {
    fill(find(document, "#who-name"), session.name, session.scopes.includes("launch") ? "" : " (read only)");
  }
  for (const link of document.querySelectorAll("#nav a")) {
    const path = link.getAttribute("href") ?? "";
    const here = location.pathname === path || (path !== "/launch" && location.pathname.startsWith(`${path}/`));
    const launchOfOne = path === "/launches" && location.pathname.startsWith("/launch/");
    if (here || launchOfOne) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** @param {Error} error */
function problem(error) {
  const missing = error instanceof Problem && error.status === 404;
  const words = missing ? "There is nothing at this address" : "This could not be shown";
  title(words);
  fill(main, template("view-problem"));
  find(main, "#problem-title").textContent = words;
  find(main, "#problem-text").textContent = error.message;
  find(main, "#problem-hint").textContent = /** @type {{hint?: string}} */ (error).hint ?? "";
  find(main, "#problem-again").addEventListener("click", () => void show({ focus: true }));
}

/** @param {Session} who */
function signedIn(who) {
  session = who;
  void show({ focus: true });
}

function signedOut() {
  session = null;
  void show({ focus: true });
}

document.addEventListener("click", (event) => {
  const link = /** @type {Element} */ (event.target).closest?.("a");
  if (!link || event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || link.target || link.hasAttribute("download")) return;
  if (link.origin !== location.origin || !VIEWS.some(([pattern]) => pattern.test(link.pathname)) || link.hash) return;
  event.preventDefault();
  go(link.pathname + link.search);
});

find(document, ".skip-link").addEventListener("click", (/** @type {Event} */ event) => {
  event.preventDefault();
  main.focus();
});

find(document, "#sign-out").addEventListener("click", async () => {
  await request("DELETE", "/session").catch(() => {});
  signedOut();
});

window.addEventListener("popstate", () => void show({ focus: true }));
onSignedOut(() => {
  if (session !== null) signedOut();
});

/** A token in the address is used at once, and must not stay in the address bar or its history. */
async function begin() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token !== null) {
    history.replaceState(null, "", location.pathname + location.search);
    await signin.signIn(token).catch(() => {});
  }
  try {
    session = await get("/session");
  } catch (error) {
    if (!(error instanceof Problem && error.status === 401)) {
      problem(/** @type {Error} */ (error));
      find(main, "#problem-again").addEventListener("click", () => location.reload());
      return;
    }
  }
  await show();
}

// A link with a token, opened where the page already is, loads nothing anew.
window.addEventListener("hashchange", () => {
  if (location.hash.startsWith("#token=")) void begin();
});

void begin();

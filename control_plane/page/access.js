// How to call a node: snippets to copy. The key is fetched when asked for, and is on the page only while shown.

import { get } from "./api.js";
import { copyButton } from "./copy.js";
import { fill, h } from "./dom.js";

/** @typedef {import("./contract.js").Access} Access */

const HIDDEN = "••••••••••••";

/** @param {string} nodeId @param {{open: boolean, mayLaunch: boolean, whyNot: string}} options */
export function accessPanel(nodeId, { open, mayLaunch, whyNot }) {
  const body = h("div", { class: "access-body" });
  const panel = h("details", { class: "access" }, h("summary", {}, "Call it: curl and Python"), body);
  if (!mayLaunch) {
    fill(body, h("p", { class: "reason" }, whyNot));
    return panel;
  }
  let asked = false;
  const load = async () => {
    if (asked) return;
    asked = true;
    fill(body, h("p", { class: "hint" }, "Reading the access…"));
    try {
      draw(body, await get(`/admin/nodes/${encodeURIComponent(nodeId)}/access`));
    } catch (error) {
      const { message, hint } = /** @type {{message: string, hint?: string}} */ (error);
      asked = false;
      fill(body, h("p", { class: "alert", role: "alert" }, `${message} ${hint ?? ""}`), h("button", { type: "button", class: "button small", onclick: load }, "Try again"));
    }
  };
  panel.addEventListener("toggle", () => panel.open && void load());
  panel.open = open;
  return panel;
}

/** @param {HTMLElement} body @param {Access} access */
function draw(body, access) {
  let shown = false;
  const key = h("code", { class: "key" });
  const toggle = h("button", { type: "button", class: "button small", "aria-pressed": "false" }, "Show key");
  /** @type {[string, string, HTMLElement][]} */
  const snippets = /** @type {[string, string][]} */ ([["curl", access.curl], ["Python", access.python]]).map(([name, text]) => [name, text, h("code")]);
  const write = () => {
    const hide = (/** @type {string} */ text) => (shown ? text : text.replaceAll(access.api_key, HIDDEN));
    fill(key, hide(access.api_key));
    for (const [, text, code] of snippets) fill(code, hide(text));
    toggle.textContent = shown ? "Hide key" : "Show key";
    toggle.setAttribute("aria-pressed", String(shown));
  };
  toggle.addEventListener("click", () => {
    shown = !shown;
    write();
  });
  write();
  fill(
    body,
    h("div", { class: "key-row" }, h("span", { class: "label" }, "API key"), key, h("span", { class: "actions" }, toggle, copyButton("the API key", () => access.api_key))),
    snippets.map(([name, text, code]) =>
      h(
        "figure",
        { class: "snippet" },
        h("figcaption", {}, name, copyButton(`the ${name} snippet`, () => text)),
        h("pre", { tabindex: 0, "aria-label": `${name} snippet` }, code),
      ),
    ),
    access.certificate
      ? h("p", { class: "hint certificate" }, "The node's certificate is its own; clients have to be given it. ", copyButton("the certificate", () => access.certificate))
      : null,
    h("p", { class: "hint" }, "Copying takes the key along, also while it is hidden here."),
  );
}

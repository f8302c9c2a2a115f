// The view /launches: what was launched, a page at a time.

import { get, now, query } from "./api.js";
import { fill, find, h, template, time } from "./dom.js";
import { showAlert } from "./field_errors.js";
import { duration, moment, percent, place, providerName, secondsBetween } from "./format.js";
import { hasEnded } from "./launch_state.js";
import { poll } from "./poll.js";
import { pill } from "./state_words.js";

/** @typedef {import("./contract.js").Launch} Launch */

const PAGE = 20;
const PAUSE = 5000;

/** @param {HTMLElement} main @param {import("./app.js").Context} context */
export async function show(main, { query: wanted, signal, title, go }) {
  title("Launches");
  const status = wanted.get("status") ?? "";
  const cursor = wanted.get("cursor") ?? "";
  const path = query("/admin/instances", { status, limit: PAGE, cursor });
  /** @type {{items: Launch[], next: string | null}} */
  const first = await get(path, signal);
  fill(main, template("view-history"));
  const select = /** @type {HTMLSelectElement} */ (find(main, "#status"));
  select.value = status;
  select.addEventListener("change", () => {
    go(query("/launches", { status: select.value }));
  });
  let shown = "";
  const draw = (/** @type {{items: Launch[], next: string | null}} */ page) => {
    const text = JSON.stringify(page);
    const running = page.items.some((launch) => !hasEnded(launch));
    // Running times go on; a page of old launches is left alone.
    if (text === shown && !running) return;
    shown = text;
    const focused = document.activeElement?.getAttribute("href");
    fill(find(main, "#list"), page.items.length ? table(page.items) : emptyState(status, cursor));
    find(main, "#list").setAttribute("aria-busy", "false");
    if (focused) /** @type {HTMLElement | null} */ (find(main, "#list").querySelector(`a[href="${CSS.escape(focused)}"]`))?.focus();
    const pages = { newest: cursor ? query("/launches", { status }) : null, older: page.next ? query("/launches", { status, cursor: page.next }) : null };
    find(main, "#pages").hidden = !pages.newest && !pages.older;
    for (const [id, href] of Object.entries(pages)) {
      const link = find(main, `#${id}`);
      link.hidden = href === null;
      if (href !== null) link.href = href;
    }
  };
  draw(first);
  const alert = find(main, ".alert");
  poll(
    async () => {
      try {
        draw(await get(path, signal));
        alert.hidden = true;
      } catch (error) {
        if (!signal.aborted) showAlert(alert, error);
      }
    },
    () => PAUSE,
    signal,
  );
}

/** @param {Launch[]} items */
function table(items) {
  const heads = ["Model", "Status", "Where", "Began", "Took"];
  return h(
    "table",
    { class: "history card", role: "table", "aria-label": "Launches, newest first" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads.map((words) => h("th", { scope: "col", role: "columnheader" }, words)))),
    h("tbody", { role: "rowgroup" }, items.map(row)),
  );
}

/** @param {Launch} launch */
function row(launch) {
  const { job_id, model_name, status, stage, percentage, error, created_at, started_at, ended_at } = launch;
  const said = status === "running" || status === "cancelling" ? `${percent(percentage)}, ${stage}` : status === "failed" && error ? `${error.kind}/${error.code}: ${error.message.split("\n")[0]}` : "";
  const took = started_at ? duration(secondsBetween(started_at, ended_at ?? new Date(now()).toISOString())) : "–";
  return h(
    "tr",
    { role: "row" },
    h("th", { scope: "row", role: "rowheader" }, h("a", { href: `/launch/${encodeURIComponent(job_id)}` }, model_name)),
    h("td", { role: "cell" }, pill(status), said ? h("span", { class: "sub" }, said) : null),
    h("td", { role: "cell" }, where(launch)),
    h("td", { role: "cell", class: "nowrap" }, time(created_at, moment(created_at))),
    h("td", { role: "cell", class: "number nowrap" }, took),
  );
}

/** @param {Launch} launch */
function where({ node, request }) {
  if (node) return [place({ ...node, zone: "" }), h("span", { class: "sub" }, node.instance_type)];
  const asked = [request.provider ? providerName(request.provider) : "", request.region].filter(Boolean).join(" · ");
  return [asked || "Cheapest that fits", request.instance_type ? h("span", { class: "sub" }, request.instance_type) : null];
}

/** @param {string} status @param {string} cursor */
function emptyState(status, cursor) {
  if (status || cursor) {
    return h(
      "section",
      { class: "empty" },
      h("h2", {}, "No such launch"),
      h("p", {}, status ? `No launch is ${status}.` : "There are no older ones."),
      h("p", { class: "actions" }, h("a", { class: "button", href: "/launches" }, "Show all launches")),
    );
  }
  return h(
    "section",
    { class: "empty" },
    h("h2", {}, "Nothing was launched yet"),
    h("p", {}, "Choose a model, look at what it would cost, and click Launch. Or try the whole way for free on this host, with a tiny model on the CPU."),
    h(
      "p",
      { class: "actions" },
      h("a", { class: "button primary", href: "/launch" }, "Launch a model"),
      " ",
      h("a", { class: "button", href: "/launch?model_name=tiny-llama&provider=local" }, "Try it on this host"),
    ),
  );
}

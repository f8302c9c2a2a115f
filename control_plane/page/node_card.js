// One node: how it is, what it costs, how to call it, and its end.

import { accessPanel } from "./access.js";
import { now, request } from "./api.js";
import { announce } from "./announce.js";
import { confirmed } from "./confirm.js";
import { copyButton } from "./copy.js";
import { facts, fill, h, time } from "./dom.js";
import { ago, cost, duration, gpuName, moment, place, price, shortId } from "./format.js";
import { pill, stateWord } from "./state_words.js";

/** @typedef {import("./contract.js").LiveNode} LiveNode */

/**
 * @param {LiveNode} node
 * @param {{open: boolean, mayLaunch: boolean, whyNot: string, linked: boolean, heading: "h2" | "h3", title: string, changed: () => void}} options
 *   linked: the title leads to the node's own page
 */
export function nodeCard(node, { open, mayLaunch, whyNot, linked, heading, title, changed }) {
  const address = `/nodes/${encodeURIComponent(node.id)}`;
  const titleId = `node-${node.id}`;
  const state = h("span");
  const reason = h("p", { class: "node-reason" });
  const details = h("div");
  const alert = h("div", { class: "alert", role: "alert", hidden: true });
  const button = h("button", { type: "button", class: "button danger-quiet small", "aria-label": `Terminate ${node.model}` }, "Terminate");
  const live = h(
    "div",
    { class: "node-live" },
    h("div", { class: "endpoint" }, h("span", { class: "label" }, "Endpoint"), h("code", {}, node.endpoint), copyButton("the endpoint", () => node.endpoint), h("span", { class: "node-end" }, button)),
    mayLaunch ? null : h("p", { class: "reason", id: `${titleId}-why` }, whyNot),
    accessPanel(node.id, { open: open && !isOver(node), mayLaunch, whyNot }),
  );
  if (!mayLaunch) {
    button.disabled = true;
    button.setAttribute("aria-describedby", `${titleId}-why`);
  }
  let current = node;
  button.addEventListener("click", async () => {
    const sure = await confirmed({
      title: `Terminate ${current.model}?`,
      text: `The machine ${current.instance_type} at ${place(current)} is taken down and its endpoint stops answering at once. So far it has cost ${cost(current.cost_so_far)}.`,
      yes: "Terminate",
      no: "Keep it running",
    });
    if (!sure) return;
    alert.hidden = true;
    try {
      await request("DELETE", `/admin/nodes/${encodeURIComponent(current.id)}`);
      announce(`Terminating ${current.model}`, { soon: true });
      changed();
    } catch (error) {
      const { message, hint } = /** @type {{message: string, hint?: string}} */ (error);
      fill(alert, h("p", {}, h("strong", {}, message)), hint ? h("p", {}, hint) : null);
      alert.hidden = false;
    }
  });

  const card = h(
    "article",
    { class: "card node", "aria-labelledby": titleId, tabindex: -1 },
    h("div", { class: "card-head" }, h(heading, { id: titleId }, linked ? h("a", { href: address }, title) : title), state),
    reason,
    alert,
    details,
    live,
  );
  /** @param {LiveNode} next */
  const update = (next) => {
    current = next;
    const over = isOver(next);
    card.dataset.state = next.state;
    // Only a change is written, so that a spinner does not begin anew every five seconds.
    if (state.dataset.state !== next.state) fill(state, pill(next.state));
    state.dataset.state = next.state;
    reason.textContent = next.state_reason ?? "";
    reason.hidden = !next.state_reason;
    fill(details, nodeFacts(next));
    const hadFocus = live.contains(document.activeElement);
    live.hidden = over;
    button.hidden = next.state === "terminating";
    // What goes must not take the keyboard's place with it.
    if (hadFocus && (live.hidden || (button.hidden && document.activeElement === button))) card.focus();
  };
  update(node);
  return { element: card, update };
}

/** @param {LiveNode} node */
export const isOver = ({ state, ended_at }) => state === "gone" || Boolean(ended_at);

/** @param {LiveNode} node */
function nodeFacts(node) {
  const over = isOver(node);
  const market = node.spot ? "spot" : node.price_per_hour === 0 ? "" : "on-demand";
  const left = Math.max(0, Math.floor((Date.parse(node.expires_at) - now()) / 60_000)) * 60;
  const idle = node.idle_minutes ? ` or after ${node.idle_minutes} min idle` : "";
  return facts(
    [over ? "Cost" : "Cost so far", h("strong", { class: "cost" }, cost(node.cost_so_far))],
    ["Price", [price(node.price_per_hour), market ? ` ${market}` : ""].join("")],
    ["Machine", `${node.instance_type} (${gpuName(node.gpu)})`],
    ["Place", place(node)],
    over
      ? ["Ended", node.ended_at ? time(node.ended_at, moment(node.ended_at)) : "yes"]
      : ["Ends", [time(node.expires_at, `in ${duration(left).replace(" 00 s", "")}`), idle]],
    over ? ["Registered", time(node.registered_at, moment(node.registered_at))] : ["Idle", node.idle_since ? ["since ", time(node.idle_since, ago(node.idle_since, now()))] : "no"],
    over ? ["State", stateWord(node.state)] : ["Last healthy", node.last_healthy_at ? time(node.last_healthy_at, ago(node.last_healthy_at, now())) : "not yet"],
    ["Launch", h("a", { href: `/launch/${encodeURIComponent(node.job_id)}` }, shortId(node.job_id))],
    ...outage(node),
  );
}

/** For how long nothing answered because a cloud took a node back. @param {LiveNode} node @returns {[string, any][]} */
function outage({ interruption, replaces }) {
  if (replaces) {
    const before = h("a", { href: `/nodes/${encodeURIComponent(replaces.node_id)}` }, "a node that its cloud took back");
    return [["Without an endpoint", [duration(replaces.seconds_without_endpoint), ", after ", before]]];
  }
  if (!interruption || interruption.seconds_without_endpoint === null) return [];
  const next = h("a", { href: `/launch/${encodeURIComponent(interruption.relaunch_job_id ?? "")}` }, "another node");
  const seconds = duration(interruption.seconds_without_endpoint);
  return [["Without an endpoint", interruption.restored_at ? [seconds, ", until ", next, " was there"] : [`${seconds} so far; `, next, " is being launched"]]];
}

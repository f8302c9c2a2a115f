// The views /nodes and /nodes/<id>.

import { Problem, get } from "./api.js";
import { announce } from "./announce.js";
import { fill, find, h, keyed, say, template } from "./dom.js";
import { showAlert } from "./field_errors.js";
import { cost, plural } from "./format.js";
import { isOver, nodeCard } from "./node_card.js";
import { poll } from "./poll.js";
import { stateWord } from "./state_words.js";

/** @typedef {import("./contract.js").LiveNode} LiveNode */

const PAUSE = 5000;

/** @param {HTMLElement} main @param {import("./app.js").Context} context */
export async function showAll(main, context) {
  const { signal, title, mayLaunch, whyNot } = context;
  title("Nodes");
  /** @type {{items: LiveNode[]}} */
  const first = await get("/admin/nodes", signal);
  fill(main, template("view-nodes"));
  const told = changesOf();
  const options = { open: false, mayLaunch, whyNot, linked: true, heading: /** @type {const} */ ("h2"), changed: () => again() };
  const draw = (/** @type {LiveNode[]} */ items) => {
    const live = items.filter((node) => !isOver(node));
    const gone = items.filter(isOver);
    const perHour = live.reduce((sum, node) => sum + node.price_per_hour, 0);
    fill(
      find(main, "#total"),
      live.length ? `${plural(live.length, "node")} at $${perHour.toFixed(2)}/h together, ${cost(live.reduce((sum, node) => sum + node.cost_so_far, 0))} so far.` : "Machines that serve a model now, and what they have cost.",
    );
    fill(find(main, "#list"), live.length ? null : emptyState());
    keyed(find(main, "#nodes"), live, ({ id }) => id, (node) => nodeCard(node, { ...options, title: node.model }));
    find(main, "#gone-box").hidden = gone.length === 0;
    fill(find(main, "#gone-title"), `${plural(gone.length, "node")} that ${gone.length === 1 ? "is" : "are"} gone`);
    keyed(find(main, "#gone"), gone, ({ id }) => id, (node) => nodeCard(node, { ...options, title: node.model }));
    items.forEach(told);
  };
  draw(first.items);
  const again = polled(main, async () => draw((await get("/admin/nodes", signal)).items), signal);
}

/** @param {HTMLElement} main @param {import("./app.js").Context} context */
export async function showOne(main, context) {
  const { id, signal, title, mayLaunch, whyNot } = context;
  const path = `/admin/nodes/${encodeURIComponent(id)}`;
  /** @type {LiveNode} */
  const first = await get(path, signal);
  fill(main, template("view-node"));
  const told = changesOf();
  const root = find(main, "#nodes");
  const draw = (/** @type {LiveNode} */ node) => {
    title(stateWord(node.state), node.model);
    say(find(main, "h1"), node.model);
    keyed(root, [node], () => id, () => nodeCard(node, { open: true, mayLaunch, whyNot, linked: false, heading: "h2", title: `Node ${node.id}`, changed: () => again() }));
    told(node);
  };
  draw(first);
  const again = polled(main, async () => draw(await get(path, signal)), signal);
}

/** @param {HTMLElement} main @param {() => Promise<void>} ask @param {AbortSignal} signal */
function polled(main, ask, signal) {
  const lost = find(main, "#lost");
  const alert = find(main, ".alert");
  return poll(
    async () => {
      try {
        await ask();
        lost.hidden = true;
        alert.hidden = true;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Problem) showAlert(alert, error);
        else {
          fill(lost, "Connection lost, trying again. What stands here may be old.");
          lost.hidden = false;
        }
      }
    },
    () => PAUSE,
    signal,
  );
}

/** Tells changes of state to screen readers; what stands there at first is no change. */
function changesOf() {
  /** @type {Map<string, string>} */
  const states = new Map();
  return (/** @type {LiveNode} */ node) => {
    const before = states.get(node.id);
    states.set(node.id, node.state);
    if (before !== undefined && before !== node.state) announce(`${node.model} is ${stateWord(node.state).toLowerCase()}. ${node.state_reason ?? ""}`);
  };
}

const emptyState = () =>
  h(
    "section",
    { class: "empty" },
    h("h2", {}, "No node is running"),
    h("p", {}, "Nothing serves a model, and nothing costs money. A launch that succeeds puts its node here."),
    h("p", { class: "actions" }, h("a", { class: "button primary", href: "/launch" }, "Launch a model"), " ", h("a", { class: "button", href: "/launches" }, "Earlier launches")),
  );

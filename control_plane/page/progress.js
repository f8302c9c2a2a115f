// The view /launch/<job_id>: one launch, live.

import { announce, hush } from "./announce.js";
import { Problem, follow, get, now, query, request } from "./api.js";
import { attemptItem, rawLog } from "./attempts.js";
import { confirmed } from "./confirm.js";
import { fill, find, h, keyed, redrawn, say, template, time } from "./dom.js";
import { showAlert } from "./field_errors.js";
import { cost, duration, percent, place, plural, providerName, roughly, secondsBetween, timeOfDay, wholePercent } from "./format.js";
import { STAGES, after, hasEnded, stageStates } from "./launch_state.js";
import { LogPane } from "./log.js";
import { isOver, nodeCard } from "./node_card.js";
import { poll } from "./poll.js";
import { mark, pill, stateWord } from "./state_words.js";
import { drawTimeline } from "./timeline.js";

/** @typedef {import("./contract.js").Launch} Launch */
/** @typedef {import("./contract.js").LaunchEvent} LaunchEvent */

const SECOND = 1000;
const BURST = 40;
const NODE_PAUSE = 5000;
/** Events tell all but how many wait before this one, and how long it may still take. */
const QUEUE_PAUSE = 3000;
const STATUS_PAUSE = 15_000;

/** @param {HTMLElement} main @param {import("./app.js").Context} context */
export async function show(main, context) {
  const path = query("/admin/instances/status", { job_id: context.id });
  const launch = await get(path, context.signal);
  fill(main, template("view-progress"));
  new Progress(main, path, launch, context).begin();
}

class Progress {
  /** @param {HTMLElement} main @param {string} path @param {Launch} launch @param {import("./app.js").Context} context */
  constructor(main, path, launch, context) {
    this.main = main;
    this.path = path;
    this.context = context;
    this.launch = launch;
    this.readAt = now();
    this.log = new LogPane(main, launch.job_id);
    /** @type {{id: number, text: string, at: string}[]} */
    this.notes = [];
    this.lost = false;
    this.planned = false;
    this.told = "";
    this.outcome = "";
    this.again = () => {};
  }

  begin() {
    const { signal } = this.context;
    fill(find(this.main, "h1"), this.launch.model_name);
    fill(find(this.main, "#wanted"), wanted(this.launch));
    this.cancelButton.addEventListener("click", () => void this.cancel());
    this.draw();
    const clock = setInterval(() => this.tick(), SECOND);
    signal.addEventListener("abort", () => {
      clearInterval(clock);
      hush();
    });
    follow(
      this.launch.job_id,
      {
        event: (event) => this.event(event),
        lost: (refused) => {
          this.connection(true);
          // It says what no stream can: that the session has ended, for one.
          if (refused) void this.read();
        },
        opened: () => this.opened(),
        ended: () => void this.read(),
      },
      signal,
    );
    const pause = () => (this.launch.status === "queued" ? QUEUE_PAUSE : STATUS_PAUSE);
    // The first answer is at hand already.
    let first = true;
    this.again = poll(
      async () => {
        if (!first && !hasEnded(this.launch)) await this.read();
        first = false;
      },
      pause,
      signal,
    );
  }

  /** @param {string} id @returns {HTMLElement} */
  part(id) {
    return find(this.main, `#${id}`);
  }

  get cancelButton() {
    return /** @type {HTMLButtonElement} */ (this.part("cancel"));
  }

  /** @param {LaunchEvent} event */
  event(event) {
    const { stage } = this.launch;
    if (event.type === "log") this.log.add(event.data);
    if (event.type === "note") this.notes.push({ id: event.id, ...event.data });
    this.launch = after(this.launch, event);
    if (event.type === "launch") this.readAt = now();
    this.drawSoon();
    // Its estimate is of the stage before.
    if (this.launch.stage !== stage) this.again();
  }

  async read() {
    try {
      this.launch = await get(this.path, this.context.signal);
      this.readAt = now();
      this.drawSoon();
    } catch (error) {
      if (!this.context.signal.aborted && !(error instanceof Problem)) this.connection(true);
    }
  }

  opened() {
    const wasLost = this.lost;
    this.connection(false);
    if (wasLost) void this.read();
  }

  /** @param {boolean} lost */
  connection(lost) {
    if (lost === this.lost || (lost && hasEnded(this.launch))) return;
    this.lost = lost;
    const banner = this.part("lost");
    banner.hidden = !lost;
    fill(banner, lost ? "Connection lost, trying again. The launch goes on without this page." : "");
  }

  /** Events come in bursts: a page that is read again gets all of them at once. */
  drawSoon() {
    if (this.planned) return;
    this.planned = true;
    // Not an animation frame: a tab in the background has none, and its title has to go on.
    setTimeout(() => {
      this.planned = false;
      if (!this.context.signal.aborted) this.draw();
    }, BURST);
  }

  draw() {
    const { launch } = this;
    const queued = launch.status === "queued";
    if (this.part("state").dataset.state !== launch.status) fill(this.part("state"), pill(launch.status));
    this.part("state").dataset.state = launch.status;
    say(this.part("stage"), queued ? "Waiting" : launch.status === "succeeded" ? "Ready" : launch.stage);
    say(this.part("message"), queued ? waiting(launch) : launch.status === "succeeded" ? "the endpoint has answered" : launch.message);
    say(this.part("percent"), percent(launch.percentage));
    const bar = /** @type {HTMLProgressElement} */ (this.part("bar"));
    bar.value = launch.percentage;
    bar.dataset.state = launch.status;
    this.main.querySelector(".hero")?.setAttribute("data-state", launch.status);
    this.drawStages();
    keyed(this.part("attempts"), launch.attempts ?? [], ({ number }) => number, (attempt) => redrawn(attempt, attemptItem));
    this.part("no-attempts").hidden = (launch.attempts ?? []).length > 0;
    this.part("notes-box").hidden = this.notes.length === 0;
    keyed(this.part("notes"), this.notes, ({ id }) => id, ({ text, at }) => ({
      element: h("li", {}, h("span", { class: "sub" }, time(at, timeOfDay(at))), " ", text),
      update() {},
    }));
    this.drawCancel();
    this.drawOutcome();
    this.tick();
    this.tell();
  }

  drawStages() {
    const states = stageStates(this.launch);
    const spans = this.launch.timeline ?? [];
    keyed(
      this.part("stages"),
      STAGES.map((name, index) => {
        // A stage is on more than once where another machine was tried, or the server was started again.
        const seconds = spans.map((span) => (span.stage === name && span.ended_at ? secondsBetween(span.started_at, span.ended_at) : 0));
        const took = states[index] === "done" && spans.some(({ stage }) => stage === name) ? duration(seconds.reduce((sum, one) => sum + one, 0)) : "";
        return { name, state: states[index], took };
      }),
      ({ name }) => name,
      (item) => redrawn(item, stageItem),
    );
  }

  drawCancel() {
    const { mayLaunch, whyNot } = this.context;
    const { status } = this.launch;
    const button = this.cancelButton;
    const hadFocus = document.activeElement === button;
    button.hidden = hasEnded(this.launch);
    button.disabled = !mayLaunch || status === "cancelling";
    say(button, status === "cancelling" ? "Cancelling…" : "Cancel");
    const reason = this.part("cancel-reason");
    reason.hidden = mayLaunch || button.hidden;
    say(reason, mayLaunch ? "" : whyNot);
    // A button that goes must not take the keyboard's place with it.
    if (hadFocus && button.hidden) find(this.main, "h1").focus();
  }

  async cancel() {
    const sure = await confirmed({
      title: "Cancel this launch?",
      text: "What it has made is deleted and verified gone. That may take some minutes; this page shows when it is done.",
      yes: "Cancel the launch",
      no: "Let it go on",
    });
    if (!sure || hasEnded(this.launch)) return;
    try {
      this.launch = await request("POST", query("/admin/instances/cancel", { job_id: this.launch.job_id }));
      this.draw();
    } catch (error) {
      const alert = h("div", { class: "alert", role: "alert" });
      fill(this.part("outcome"), alert);
      showAlert(alert, error);
    }
  }

  /** The end is drawn once: what is open or has the focus in it stays so. */
  drawOutcome() {
    const { launch } = this;
    const kind = `${launch.status} ${launch.node?.id ?? ""} ${launch.error?.code ?? ""}`;
    if (!hasEnded(launch) || kind === this.outcome) return;
    this.outcome = kind;
    const root = this.part("outcome");
    if (launch.status === "succeeded") this.drawNode(root);
    else fill(root, launch.status === "cancelled" ? cancelled(launch) : failed(launch));
  }

  /** @param {HTMLElement} root */
  drawNode(root) {
    const { node } = this.launch;
    if (!node) return;
    const { mayLaunch, whyNot, signal } = this.context;
    const path = `/admin/nodes/${encodeURIComponent(node.id)}`;
    const card = nodeCard(node, { open: true, mayLaunch, whyNot, linked: true, heading: "h2", title: node.model, changed: () => again() });
    fill(root, card.element);
    let over = isOver(node);
    const again = poll(
      async () => {
        if (over) return;
        try {
          const fresh = await get(path, signal);
          over = isOver(fresh);
          card.update(fresh);
        } catch {
          // The card keeps what was known; the node's own page tells more.
        }
      },
      () => NODE_PAUSE,
      signal,
    );
  }

  tick() {
    const { launch, readAt } = this;
    const at = new Date(now()).toISOString();
    const from = launch.started_at ?? launch.created_at;
    const elapsed = duration(secondsBetween(from, launch.ended_at ?? at));
    say(this.part("elapsed"), launch.status === "queued" ? `Waiting for ${elapsed}` : hasEnded(launch) ? `Took ${elapsed}` : `${elapsed} so far`);
    const estimate = launch.estimated_seconds_left ?? null;
    const left = estimate === null ? null : estimate - (now() - readAt) / SECOND;
    const known = left !== null && !hasEnded(launch) && launch.status !== "cancelling";
    const spent = hasEnded(launch) && launch.cost_so_far > 0 ? ` · its machines have cost ${cost(launch.cost_so_far)}` : "";
    say(this.part("estimate"), !known ? spent : left > 0 ? ` · ${roughly(left)} left, by earlier launches` : " · longer than earlier launches took");
    const bad = launch.status === "failed" || launch.status === "cancelled" ? launch.status : null;
    drawTimeline(this.part("timeline"), launch.timeline ?? [], launch.ended_at ?? at, bad);
  }

  tell() {
    const { launch } = this;
    const words = hasEnded(launch) || launch.status === "cancelling" ? stateWord(launch.status) : launch.status === "queued" ? "Queued" : `${wholePercent(launch.percentage)} – ${launch.stage}`;
    this.context.title(words, ...(hasEnded(launch) ? [launch.model_name] : []));
    const said = hasEnded(launch)
      ? `Launch ${launch.status}. ${launch.error?.message ?? ""}`
      : launch.status === "queued" ? `Waiting, ${waiting(launch)}` : `${launch.stage}, ${wholePercent(launch.percentage)}. ${launch.message}`;
    if (said === this.told) return;
    this.told = said;
    announce(said, { soon: hasEnded(launch) });
  }
}

/** @param {{name: string, state: string, took: string}} stage */
const stageItem = ({ name, state, took }) =>
  h(
    "li",
    { class: "stage", "data-state": state, "aria-current": state === "running" ? "step" : null },
    mark(state),
    h("span", { class: "stage-name" }, name),
    h("span", { class: "stage-state" }, took || stateWord(state)),
  );

/** @param {Launch} launch */
function waiting({ waiting_before }) {
  if (waiting_before === null || waiting_before === undefined) return "for a place in the queue";
  return waiting_before === 0 ? "next in the queue" : `${waiting_before} before you`;
}

/** What was asked for, in a line. @param {Launch} launch */
function wanted({ request }) {
  const where = [request.provider ? providerName(request.provider) : "", request.region, request.instance_type].filter(Boolean).join(" · ");
  return [
    where || "Cheapest machine that fits, in any cloud",
    request.provider === "local" ? "" : request.market,
    request.max_price ? `at most $${request.max_price}/h` : "",
    request.lifetime_hours ? `for ${plural(request.lifetime_hours, "hour")} at most` : "",
  ].filter(Boolean).join(" · ");
}

/** @param {Launch} launch */
function againLink(launch) {
  const { request } = launch;
  return h("a", { class: "button primary", href: query("/launch", { ...request, keep: request.keep || null, idle_minutes: request.idle_minutes ?? "never" }) }, "Try again");
}

/** @param {Launch} launch */
function failed(launch) {
  const error = launch.error ?? { kind: "unknown", code: "unknown", message: "The server gave no reason.", hint: "Read the log below.", log: [] };
  const last = (launch.attempts ?? []).findLast(({ state }) => state === "failed");
  const log = rawLog(error, "The node's last lines");
  if (log) log.open = true;
  return h(
    "section",
    { class: "card failure", "aria-labelledby": "failure-title" },
    h("div", { class: "card-head" }, h("h2", { id: "failure-title" }, `Failed: ${error.kind}`), h("code", { class: "code" }, `${error.kind}/${error.code}`)),
    h("p", { class: "failure-message" }, error.message),
    h("p", { class: "sub" }, [error.stage ? `In the stage “${error.stage}”` : "", error.resource ? `at ${error.resource}` : "", last ? `on ${last.offer.instance_type}, ${place(last.offer)}` : ""].filter(Boolean).join(" ")),
    error.hint ? h("p", { class: "what-next" }, h("strong", {}, "What to do: "), error.hint) : null,
    log,
    h("p", { class: "actions" }, againLink(launch), " ", h("a", { class: "button", href: "/launches" }, "All launches")),
  );
}

/** @param {Launch} launch */
const cancelled = (launch) =>
  h(
    "section",
    { class: "card", "aria-labelledby": "cancelled-title" },
    h("h2", { id: "cancelled-title" }, "Cancelled"),
    h("p", {}, launch.error?.message || "What it had made is deleted; nothing is left in the cloud."),
    launch.error?.hint ? h("p", { class: "hint" }, launch.error.hint) : null,
    h("p", { class: "actions" }, againLink(launch)),
  );

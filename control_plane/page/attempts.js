// One attempt to get a machine: what was asked for, what happened, and what the cloud said.

import { h, time } from "./dom.js";
import { duration, gpuName, place, price, secondsBetween } from "./format.js";
import { mark, stateWord } from "./state_words.js";

/** @typedef {import("./contract.js").Attempt} Attempt */
/** @typedef {import("./contract.js").Failure} Failure */

/** @param {Attempt} attempt */
export function attemptItem(attempt) {
  const { offer, reason, started_at, ended_at, error } = attempt;
  // That somebody cancelled it is no failure, and needs no reason.
  const cancelled = error?.kind === "cancelled";
  const state = cancelled ? "cancelled" : attempt.state;
  const market = offer.spot ? "spot" : offer.price === 0 ? "" : "on-demand";
  const took = started_at && ended_at ? duration(secondsBetween(started_at, ended_at)) : "";
  return h(
    "li",
    { class: "attempt", "data-state": state },
    mark(state),
    h(
      "div",
      { class: "attempt-body" },
      h("p", { class: "attempt-head" }, h("strong", {}, offer.instance_type), ` ${gpuName(offer.gpu)}`, h("span", { class: "attempt-state" }, stateWord(state))),
      h("p", { class: "sub" }, [place(offer), market, price(offer.price)].filter(Boolean).join(" · ")),
      reason ? h("p", { class: "attempt-reason" }, reason) : null,
      error && !cancelled ? failureText(error) : null,
      started_at ? h("p", { class: "sub" }, "Began ", time(started_at, new Date(started_at).toLocaleTimeString("en-GB")), took ? `, took ${took}` : "") : null,
    ),
  );
}

/** @param {Failure} error */
function failureText(error) {
  return [
    h("p", { class: "attempt-reason" }, h("code", { class: "code" }, `${error.kind}/${error.code}`), " ", error.message),
    error.hint ? h("p", { class: "hint" }, error.hint) : null,
    rawLog(error, "What was logged"),
  ];
}

/** @param {Failure} error @param {string} words */
export function rawLog({ log }, words) {
  if (!log || log.length === 0) return null;
  return h("details", {}, h("summary", {}, words), h("pre", { class: "raw", tabindex: 0, "aria-label": words }, log.join("\n")));
}

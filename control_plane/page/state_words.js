// The states of launches, attempts, stages and nodes: one word, one icon, one colour each.

import { h, icon } from "./dom.js";

/** @type {Record<string, [words: string, icon: string, tone: string]>} */
const STATES = {
  queued: ["Queued", "clock", "calm"],
  running: ["Running", "arc", "busy"],
  cancelling: ["Cancelling", "arc", "warn"],
  succeeded: ["Succeeded", "check", "good"],
  failed: ["Failed", "cross", "bad"],
  cancelled: ["Cancelled", "stop", "calm"],
  skipped: ["Skipped", "skip", "calm"],
  done: ["Done", "check", "good"],
  pending: ["Not yet", "dot", "calm"],
  healthy: ["Healthy", "check", "good"],
  unhealthy: ["Unhealthy", "warning", "bad"],
  interrupted: ["Taken back", "warning", "warn"],
  evicted: ["Evicted", "warning", "warn"],
  terminating: ["Terminating", "arc", "warn"],
  gone: ["Gone", "stop", "calm"],
};

/** @param {string} state */
const known = (state) => STATES[state] ?? [state, "dot", "calm"];

/** @param {string} state */
export const stateWord = (state) => known(state)[0];

/** @param {string} state */
export function pill(state) {
  const [words, name, tone] = known(state);
  return h("span", { class: `pill ${tone}`, "data-state": state }, icon(name), words);
}

/** @param {string} state */
export function mark(state) {
  const [, name, tone] = known(state);
  return h("span", { class: `mark ${tone}` }, icon(name));
}

// Sending a launch so that a double click, or a second try after a lost answer, makes one.

import { Problem, request } from "./api.js";

/** @typedef {import("./contract.js").Launch} Launch */
/** @typedef {import("./contract.js").LaunchRequest} LaunchRequest */

const KEPT = "liftoff.unanswered";

/** @param {LaunchRequest} wanted @returns {Promise<Launch>} */
export async function submit(wanted) {
  const body = JSON.stringify(wanted);
  const key = keyFor(body);
  try {
    const launch = await request("POST", "/admin/instances/launch", { body, headers: { "Idempotency-Key": key } });
    sessionStorage.removeItem(KEPT);
    return launch;
  } catch (error) {
    // A refusal is an answer; of a broken server nobody knows whether it had begun.
    if (error instanceof Problem && error.status < 500) sessionStorage.removeItem(KEPT);
    throw error;
  }
}

/** The key of the same request as long as it has no answer; another request gets another. @param {string} body */
function keyFor(body) {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  if (kept?.body === body) return kept.key;
  const key = unique();
  sessionStorage.setItem(KEPT, JSON.stringify({ key, body }));
  return key;
}

function unique() {
  // Only there on https:// and localhost; a phone in the same network has neither.
  if (crypto.randomUUID) return crypto.randomUUID();
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

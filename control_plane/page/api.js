// Talking to the server (docs/api.md): JSON with problem details, and the events of a launch.

/** @typedef {import("./contract.js").LaunchEvent} LaunchEvent */

/** What the server refused, as RFC 9457 problem details. */
export class Problem extends Error {
  /** @param {number} status @param {Record<string, any>} body */
  constructor(status, body) {
    super(body.detail || body.title || `the server answered ${status}`);
    this.status = status;
    this.kind = String(body.title ?? "unknown");
    this.code = String(body.code ?? status);
    this.hint = String(body.hint ?? "");
    /** @type {{field: string, given?: unknown, allowed?: string}[]} */
    this.errors = Array.isArray(body.errors) ? body.errors : [];
  }
}

/** No answer came: nobody knows whether the server did what it was asked. */
export class Unreachable extends Error {
  constructor() {
    super("The server did not answer.");
    this.hint = "Look whether `liftoff serve` runs and this device still reaches it; then try again.";
  }
}

let skew = 0;

/** The server's clock in milliseconds, as exact as its `Date` header: elapsed times must not trust this device's. */
export const now = () => Date.now() + skew;

/** @type {(() => void) | null} */
let signedOut = null;

/** @param {() => void} listener */
export function onSignedOut(listener) {
  signedOut = listener;
}

/**
 * @param {string} method
 * @param {string} path
 * @param {{body?: unknown, headers?: Record<string, string>, signal?: AbortSignal}} [options]
 * @returns {Promise<any>} the JSON of the answer, or null where it has none
 */
export async function request(method, path, { body, headers = {}, signal } = {}) {
  let answer, text;
  try {
    answer = await fetch(path, {
      method,
      signal,
      headers: {
        Accept: "application/json, application/problem+json",
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
    });
    text = await answer.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable();
  }
  const date = Date.parse(answer.headers.get("Date") ?? "");
  // The header has whole seconds; a difference below that is not a clock that is wrong.
  if (!Number.isNaN(date)) skew = Math.abs(date - Date.now()) < 2000 ? 0 : date - Date.now();
  const json = parse(text);
  if (answer.ok) return json;
  if (answer.status === 401 && path !== "/session") signedOut?.();
  throw new Problem(answer.status, json ?? { detail: text.slice(0, 500) });
}

/** @param {string} text */
function parse(text) {
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

/** @param {string} path @param {AbortSignal} [signal] */
export const get = (path, signal) => request("GET", path, { signal });

/** An address with the values that are there. @param {string} path @param {Record<string, unknown>} values */
export function query(path, values) {
  const pairs = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(pairs.map(([name, value]) => [name, String(value)])).toString();
  return text ? `${path}?${text}` : path;
}

const EVENTS = /** @type {const} */ (["status", "note", "attempt", "launch", "log"]);
const SLOWEST_RETRY = 10_000;

/**
 * Follow a launch's events to its end, through lost connections and restarts of the server; no event twice.
 * @param {string} jobId
 * @param {{event: (event: LaunchEvent) => void, lost: (refused: boolean) => void, opened: () => void, ended: () => void}} on
 * @param {AbortSignal} signal ends it
 */
export function follow(jobId, on, signal) {
  /** @type {EventSource | null} */
  let source = null;
  let seen = 0;
  let wait = 1000;
  let timer = 0;

  const connect = () => {
    source = new EventSource(query("/admin/instances/events", { job_id: jobId }));
    source.onopen = () => {
      wait = 1000;
      on.opened();
    };
    source.onerror = () => {
      // The browser itself tries again, with Last-Event-ID, unless an answer was no event stream.
      const refused = source?.readyState === EventSource.CLOSED;
      on.lost(refused);
      if (!refused) return;
      timer = window.setTimeout(connect, wait);
      wait = Math.min(wait * 2, SLOWEST_RETRY);
    };
    for (const type of EVENTS) {
      source.addEventListener(type, (message) => {
        const id = Number(message.lastEventId);
        // A stream that begins anew repeats what was told already.
        if (id <= seen) return;
        seen = id;
        on.event({ id, type, data: JSON.parse(message.data) });
      });
    }
    source.addEventListener("end", () => {
      stop();
      on.ended();
    });
  };
  const stop = () => {
    source?.close();
    clearTimeout(timer);
  };
  signal.addEventListener("abort", stop);
  connect();
}

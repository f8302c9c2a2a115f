// What a launch looks like after one more event. Pure.

/** @typedef {import("./contract.js").Launch} Launch */
/** @typedef {import("./contract.js").LaunchEvent} LaunchEvent */

/** The seven stages, in order (docs/api.md). */
export const STAGES = [
  "Validating configuration",
  "Requesting spot instance",
  "Provisioning instance",
  "Installing dependencies",
  "Loading model from R2",
  "Starting vLLM",
  "Registering node",
];

/** @param {Launch} launch */
export const hasEnded = ({ status }) => ["succeeded", "failed", "cancelled"].includes(status);

/**
 * Events that an answer of `status` already includes are left out: they would turn the page back in time.
 * @param {Launch} launch @param {LaunchEvent} event @returns {Launch}
 */
export function after(launch, { id, type, data }) {
  if (id <= (launch.event_id ?? 0)) return launch;
  if (type === "launch") return { ...launch, ...data, event_id: Math.max(id, data.event_id ?? 0) };
  if (type === "attempt") {
    const others = (launch.attempts ?? []).filter(({ number }) => number !== data.number);
    return { ...launch, attempts: [...others, data].sort((one, other) => one.number - other.number) };
  }
  if (type === "status") {
    const { stage, percentage, message, at } = data;
    return { ...launch, stage, percentage, message, timeline: spans(launch.timeline ?? [], stage, at) };
  }
  return launch;
}

/** @param {import("./contract.js").Span[]} timeline @param {string} stage @param {string} at */
function spans(timeline, stage, at) {
  const last = timeline.at(-1);
  if (last?.stage === stage && last.ended_at === null) return timeline;
  const before = timeline.map((span) => (span.ended_at === null ? { ...span, ended_at: at } : span));
  return [...before, { stage, started_at: at, ended_at: null }];
}

/**
 * How far each stage is.
 * @param {Launch} launch @returns {("done" | "running" | "failed" | "cancelled" | "pending")[]}
 */
export function stageStates(launch) {
  const reached = launch.status === "queued" ? -1 : STAGES.indexOf(launch.stage);
  return STAGES.map((_, index) => {
    if (launch.status === "succeeded" || index < reached) return "done";
    if (index > reached) return "pending";
    return launch.status === "failed" || launch.status === "cancelled" ? launch.status : "running";
  });
}

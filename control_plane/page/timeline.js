// When each stage began and how long it took: a table whose rows are drawn as bars, so that both say the same.

import { fill, h, keyed, say, shape, time } from "./dom.js";
import { duration, secondsBetween } from "./format.js";

/** @typedef {import("./contract.js").Span} Span */
/** @typedef {{span: Span, index: number, from: number, length: number, whole: number, tone: string}} Row */

const HEADS = ["Stage", "From start", "Took"];

/**
 * Each row stays the element it is, since a second later all is drawn again.
 * @param {Element} root @param {Span[]} timeline @param {string} now RFC 3339: where a stage that runs ends
 * @param {"failed" | "cancelled" | null} ended how the last stage ended, if not well
 */
export function drawTimeline(root, timeline, now, ended) {
  if (timeline.length === 0) {
    if (root.childElementCount === 0) fill(root, h("p", { class: "empty-line" }, "Begins with the first stage."));
    return;
  }
  if (root.querySelector("table") === null) fill(root, emptyTable());
  const begin = timeline[0].started_at;
  const whole = Math.max(1, secondsBetween(begin, timeline.at(-1)?.ended_at ?? now));
  const rows = timeline.map((span, index) => {
    const last = index === timeline.length - 1;
    const tone = last ? (ended ?? (span.ended_at ? "done" : "running")) : "done";
    return { span, index, from: secondsBetween(begin, span.started_at), length: secondsBetween(span.started_at, span.ended_at ?? now), whole, tone };
  });
  keyed(/** @type {Element} */ (root.querySelector("tbody")), rows, ({ span, index }) => `${index} ${span.stage}`, makeRow);
}

const emptyTable = () =>
  h(
    "table",
    { class: "timeline", role: "table", "aria-labelledby": "timeline-title" },
    h(
      "thead",
      { role: "rowgroup" },
      h("tr", { role: "row" }, HEADS.map((words) => h("th", { scope: "col", role: "columnheader" }, words)), h("td", { class: "bar-head", "aria-hidden": "true" })),
    ),
    h("tbody", { role: "rowgroup" }),
  );

/** @param {Row} first */
function makeRow(first) {
  const took = h("td", { class: "number", role: "cell" });
  const svg = shape("svg", { class: "bar", viewBox: "0 0 1000 12", preserveAspectRatio: "none" });
  const length = shape("rect", { class: "length", y: 1, height: 10 });
  svg.append(shape("rect", { class: "track", x: 0, y: 5.5, width: 1000, height: 1 }), length);
  const element = h(
    "tr",
    { role: "row" },
    h("th", { scope: "row", role: "rowheader" }, first.span.stage),
    h("td", { class: "number", role: "cell" }, time(first.span.started_at, `+ ${duration(first.from)}`)),
    took,
    h("td", { class: "bar-cell", "aria-hidden": "true" }, svg),
  );
  /** @param {Row} row */
  const update = (row) => {
    say(took, row.tone === "running" ? `${duration(row.length)} so far` : duration(row.length));
    svg.setAttribute("class", `bar ${row.tone}`);
    length.setAttribute("x", String(Math.min(994, (row.from / row.whole) * 1000)));
    length.setAttribute("width", String(Math.max(6, (row.length / row.whole) * 1000)));
  };
  update(first);
  return { element, update };
}

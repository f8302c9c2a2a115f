// What there is to buy: which choices exist together, and the table of what would be tried, cheapest first.

import { fill, h } from "./dom.js";
import { count, gib, gpuName, place, plural, price, providerName, sourceName } from "./format.js";

/** @typedef {import("./contract.js").Offer} Offer */
/** @typedef {{provider: string, region: string, instance_type: string}} Place */

export const PLACE = /** @type {const} */ (["provider", "region", "instance_type"]);
const FEW = 8;

/** @param {Offer[]} offers @param {Place} where an empty value is any */
export const at = (offers, where) => offers.filter((offer) => PLACE.every((name) => !where[name] || offer[name] === where[name]));

/**
 * The values that one choice may have, given the others: each with the cheapest offer that has it, cheapest first.
 * @param {Offer[]} offers @param {Place} where @param {typeof PLACE[number]} name
 * @returns {Map<string, Offer>}
 */
export function choices(offers, where, name) {
  const found = new Map();
  for (const offer of at(offers, { ...where, [name]: "" })) {
    // A machine of this host is in no region.
    if (!offer[name]) continue;
    const best = found.get(offer[name]);
    if (best === undefined || offer.price < best.price) found.set(offer[name], offer);
  }
  return new Map([...found].sort(([, one], [, other]) => one.price - other.price));
}

/** @param {Offer} offer @param {Place} where */
export const isFixed = (offer, where) => PLACE.every((name) => where[name] === fixed(offer)[name]);

/** What has to be asked for to get an offer's machine; this host is one machine, whatever it is called. @param {Offer} offer @returns {Place} */
export const fixed = ({ provider, region, instance_type }) =>
  provider === "local" ? { provider, region: "", instance_type: "" } : { provider, region, instance_type };

/**
 * @param {Element} root
 * @param {Offer[]} offers
 * @param {{where: Place, all: boolean, showAll: () => void, choose: (offer: Offer) => void}} options
 */
export function offersTable(root, offers, { where, all, showAll, choose }) {
  const shown = all || offers.length <= FEW + 2 ? offers : offers.slice(0, FEW);
  const hidden = offers.length - shown.length;
  fill(
    root,
    // The roles are said again because a phone's layout takes the table's own away.
    h(
      "table",
      { class: "offers-table", role: "table", "aria-labelledby": "offers-title" },
      h(
        "thead",
        { role: "rowgroup" },
        h("tr", { role: "row" }, ["Machine", "Place", "GPU memory needed", "Price"].map(columnHead)),
      ),
      h("tbody", { role: "rowgroup" }, shown.map((offer, index) => row(offer, index === 0, isFixed(offer, where), choose))),
    ),
    hidden > 0 ? h("button", { type: "button", class: "button small", id: "all-offers", onclick: showAll }, `Show ${count(hidden)} more`) : null,
    sources(offers),
  );
}

/** @param {string} words */
const columnHead = (words) => h("th", { scope: "col", role: "columnheader" }, words);

/** @param {Offer} offer @param {boolean} first @param {boolean} chosen @param {(offer: Offer) => void} choose */
function row(offer, first, chosen, choose) {
  const name = `${offer.instance_type}, ${place(offer)}, ${price(offer.price)}`;
  const button = h(
    "button",
    { type: "button", class: "choose", "aria-pressed": String(chosen), "aria-label": `Only ${name}` },
    offer.instance_type,
  );
  const tr = h(
    "tr",
    { role: "row", class: [first ? "first" : "", chosen ? "fixed" : ""].join(" ").trim() || null },
    h(
      "th",
      { scope: "row", role: "rowheader", class: "machine" },
      button,
      h("span", { class: "sub" }, gpuName(offer.gpu)),
      first ? h("span", { class: "tag accent" }, "tried first") : null,
    ),
    h(
      "td",
      { role: "cell", class: "place" },
      h("span", {}, place({ ...offer, zone: "" })),
      h("span", { class: "sub" }, [offer.zone !== offer.region && offer.zone, offer.spot ? "spot" : offer.price === 0 ? "" : "on-demand"].filter(Boolean).join(" · ")),
    ),
    h("td", { role: "cell", class: "memory" }, memory(offer)),
    h(
      "td",
      { role: "cell", class: "price" },
      h("strong", {}, price(offer.price)),
      h("span", { class: "sub" }, priceOf(offer)),
    ),
  );
  for (const note of offer.notes ?? []) tr.children[0].append(h("span", { class: "note" }, note));
  tr.addEventListener("click", () => choose(offer));
  return tr;
}

/** @param {Offer} offer */
function memory({ needed_gib, gpu_memory_gib, max_model_len }) {
  const context = max_model_len ? h("span", { class: "sub" }, `${count(max_model_len)} tokens of context`) : null;
  if (!needed_gib || !gpu_memory_gib) return [h("span", {}, "Host memory"), context];
  const text = `${gib(needed_gib)} of ${gib(gpu_memory_gib)}`;
  return [
    h("span", { class: "nowrap" }, text),
    h("meter", { min: 0, max: gpu_memory_gib, value: needed_gib, "aria-label": `GPU memory needed: ${text}` }),
    context,
  ];
}

/** @param {Offer} offer */
function priceOf({ price, source, seen }) {
  if (price === 0) return "";
  if (source === "live") return "live";
  return seen ? `of ${seen}` : "undated";
}

/** @param {Offer[]} offers */
function sources(offers) {
  const named = [...new Set(offers.filter(({ price }) => price > 0).map(({ source }) => source))].filter((source) => source && source !== "live");
  if (named.length === 0) return null;
  const links = named.map((source) =>
    /^https:\/\//.test(source) ? h("a", { href: source, target: "_blank", rel: "noreferrer" }, sourceName(source)) : source,
  );
  const listed = links.flatMap((link, index) => (index ? [", ", link] : [link]));
  return h("p", { class: "hint sources" }, "Prices that are not marked live are from ", ...listed, "; the cloud may ask another one.");
}

/**
 * Nothing fits: why, and what may be changed to find something.
 * @param {Element} root
 * @param {{model: string, refused: string[], changes: {words: string, change: () => void}[]}} found
 */
export function nothingFits(root, { model, refused, changes }) {
  fill(
    root,
    h(
      "div",
      { class: "empty small" },
      h("h3", {}, `Nothing that is asked for fits ${model}`),
      changes.length > 0 ? h("p", {}, "What can be changed:") : h("p", {}, "Choose a smaller model."),
      h("p", { class: "actions" }, changes.map(({ words, change }) => h("button", { type: "button", class: "button small", onclick: change }, words))),
    ),
    refusals(refused, true),
  );
}

/** @param {string[]} refused each `provider type: why` @param {boolean} open */
export function refusals(refused, open) {
  if (refused.length === 0) return null;
  return h(
    "details",
    { class: "refused", open },
    h("summary", {}, `${plural(refused.length, "instance type does not", "instance types do not")} fit: why`),
    h("ul", {}, refused.map((line) => {
      const [what, ...why] = line.split(": ");
      const [provider, ...type] = what.split(" ");
      return h("li", {}, h("strong", {}, [providerName(provider), ...type].join(" ")), why.length ? `: ${why.join(": ")}` : "");
    })),
  );
}

// The view /launch: what to launch, where, at what price.

import { Problem, Unreachable, get, query } from "./api.js";
import { combobox } from "./combobox.js";
import { fill, find, h, template } from "./dom.js";
import { clearProblem, showProblem } from "./field_errors.js";
import { cost, count, gpuName, parameters, place, plural, price, providerName } from "./format.js";
import { PLACE, at, choices, fixed, nothingFits, offersTable, refusals } from "./offers.js";
import { submit } from "./submit.js";

/** @typedef {import("./contract.js").Catalog} Catalog */
/** @typedef {import("./contract.js").Offer} Offer */
/** @typedef {import("./contract.js").LaunchRequest} LaunchRequest */
/** @typedef {import("./offers.js").Place} Place */

/** The model that Liftoff makes by itself for a machine of this host. */
const LOCAL_MODEL = "tiny-llama";
const NUMBERS = /** @type {const} */ (["max_price", "max_model_len", "idle_minutes", "lifetime_hours"]);
const TYPING = 350;

/** @param {HTMLElement} main @param {import("./app.js").Context} context */
export async function show(main, context) {
  const { signal, title } = context;
  title("Launch a model");
  const catalog = /** @type {Catalog} */ (await get("/admin/catalog", signal));
  fill(main, template("view-form"));
  new LaunchForm(main, catalog, context).begin();
}

class LaunchForm {
  /** @param {HTMLElement} main @param {Catalog} catalog @param {import("./app.js").Context} context */
  constructor(main, catalog, context) {
    this.main = main;
    this.catalog = catalog;
    this.context = context;
    this.form = /** @type {HTMLFormElement} */ (find(main, "#launch-form"));
    this.model = /** @type {HTMLInputElement} */ (find(main, "#model_name"));
    /** @type {Offer[]} */
    this.offers = [];
    /** @type {string[]} */
    this.refused = [];
    this.asked = "";
    this.all = false;
    this.busy = false;
    this.timer = 0;
    this.asking = new AbortController();
    context.signal.addEventListener("abort", () => this.asking.abort());
  }

  begin() {
    const { query: wanted, mayLaunch, whyNot } = this.context;
    combobox(this.model, find(this.main, "#models"), this.catalog.models.map(modelOption), () => this.modelChanged());
    for (const name of PLACE) this.input(name).addEventListener("change", () => this.draw());
    this.input("market").addEventListener("change", () => this.ask());
    this.input("max_price").addEventListener("input", () => this.askSoon());
    for (const name of ["max_model_len", "lifetime_hours"]) this.input(name).addEventListener("input", () => this.draw());
    find(this.main, "#anywhere").addEventListener("click", () => this.anywhere());
    find(this.main, "#choose-local").addEventListener("click", () => this.chooseLocal());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.send();
    });
    const local = this.catalog.providers.includes("local") && this.catalog.models.some(({ name }) => name === LOCAL_MODEL);
    find(this.main, "#local-first").hidden = !local;
    if (!mayLaunch) {
      const reason = find(this.main, "#submit-reason");
      reason.textContent = whyNot;
      reason.hidden = false;
      this.button.disabled = true;
    }
    this.refill(wanted);
    this.ask();
  }

  /** @param {string} name @returns {HTMLInputElement} */
  input(name) {
    return find(this.form, `[name="${name}"]`);
  }

  get button() {
    return /** @type {HTMLButtonElement} */ (find(this.form, "#submit"));
  }

  /** @returns {Place} */
  get where() {
    return {
      provider: this.input("provider").value,
      region: this.input("region").value,
      instance_type: this.input("instance_type").value,
    };
  }

  /** What "Try again" or a link asks for. @param {URLSearchParams} wanted */
  refill(wanted) {
    for (const [name, value] of wanted) {
      const input = /** @type {HTMLInputElement | null} */ (this.form.querySelector(`[name="${CSS.escape(name)}"]`));
      if (input === null) continue;
      if (input.type === "checkbox") input.checked = value === "true";
      else if (input instanceof HTMLSelectElement && name !== "market") fill(input, h("option", { value, selected: true }, value));
      else input.value = value;
    }
  }

  modelChanged() {
    for (const name of PLACE) fill(this.input(name));
    this.all = false;
    this.askSoon();
  }

  askSoon() {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.ask(), TYPING);
  }

  /** Get the offers of what stands in the form; a newer question ends an older one. */
  async ask() {
    clearTimeout(this.timer);
    this.asking.abort();
    this.asking = new AbortController();
    const { signal } = this.asking;
    const known = this.catalog.models.find(({ name }) => name === this.model.value.trim());
    this.hintOfModel();
    if (this.context.signal.aborted) return;
    if (known === undefined) {
      this.offers = [];
      this.refused = [];
      this.asked = "";
      this.draw();
      return;
    }
    const path = query("/admin/offers", {
      model_name: known.name, market: this.input("market").value, max_price: this.input("max_price").value,
    });
    fill(find(this.main, "#offers-status"), "Looking for machines…");
    try {
      const { offers, refused } = await get(path, signal);
      if (signal.aborted) return;
      this.offers = offers;
      this.refused = refused;
      this.asked = known.name;
      clearProblem(this.form);
      this.draw();
    } catch (error) {
      if (signal.aborted) return;
      this.offers = [];
      this.asked = "";
      this.draw();
      fill(find(this.main, "#offers-status"), "The offers could not be read.");
      showProblem(this.form, error);
    }
  }

  hintOfModel() {
    const known = this.catalog.models.find(({ name }) => name === this.model.value.trim());
    fill(find(this.main, "#model_name-hint"), known ? modelFacts(known) : `${plural(this.catalog.models.length, "model")} to choose from.`);
  }

  /** The offers that are long enough for the context asked for; the server knows what fits at most. */
  get fitting() {
    const context = Number(this.input("max_model_len").value) || 0;
    return this.offers.filter(({ max_model_len }) => !max_model_len || max_model_len >= context);
  }

  draw() {
    if (this.asked !== "") this.drawChoices();
    const { where } = this;
    const found = at(this.fitting, where);
    const root = find(this.main, "#offers");
    const status = find(this.main, "#offers-status");
    find(this.main, "#anywhere").hidden = !PLACE.some((name) => where[name]);
    this.summarise(found[0]);
    if (this.asked === "") {
      for (const name of PLACE) if (this.input(name).childElementCount === 0) fill(this.input(name), h("option", { value: "" }, "Any that fits"));
      fill(status);
      fill(root, this.emptyState());
    } else if (found.length === 0) {
      fill(status, "No offer.");
      nothingFits(root, { model: this.asked, refused: this.refused, changes: this.changes() });
    } else {
      fill(status, `${plural(found.length, "offer")}, cheapest first. Choose one to take nothing else.`);
      offersTable(root, found, { where, all: this.all, showAll: () => this.showAll(), choose: (offer) => this.choose(offer) });
      root.append(refusals(this.refused, false) ?? "");
    }
  }

  emptyState() {
    const unknown = this.model.value.trim() !== "";
    return h(
      "div",
      { class: "empty small" },
      h("h3", {}, unknown ? "No model of the catalog yet" : "Choose a model first"),
      h("p", {}, unknown ? "Go on typing, or take one from the list." : "Here you will see every machine that it fits, with its price and how full its memory gets."),
    );
  }

  /** Offer only what exists together with the other choices. */
  drawChoices() {
    for (const name of PLACE) {
      const select = this.input(name);
      const chosen = select.value;
      const found = choices(this.fitting, this.where, name);
      const any = h("option", { value: "" }, `Any that fits${found.size > 1 ? ` (${found.size})` : ""}`);
      const options = [...found].map(([value, offer]) => h("option", { value }, optionWords(name, value, offer)));
      // What a link asked for stays visible even if nothing has it: the empty state says so.
      if (chosen && !found.has(chosen)) options.push(h("option", { value: chosen }, `${chosen}: no offer`));
      fill(select, any, options);
      select.value = chosen;
    }
  }

  /** @param {Offer | undefined} first */
  summarise(first) {
    const summary = find(this.main, "#summary");
    if (first === undefined) {
      fill(summary, this.asked ? "Nothing to launch: no machine fits." : "");
      return;
    }
    const hours = Number(this.input("lifetime_hours").value);
    const most = first.price === 0 ? "" : hours > 0 ? `, at most ${cost(first.price * hours)} in ${count(hours)} h` : "";
    fill(summary, "First: ", h("strong", {}, first.instance_type), `${first.provider === "local" ? "" : ` at ${place(first)}`}, ${price(first.price)}${most}.`);
  }

  /** What might be changed so that something fits. */
  changes() {
    const set = (/** @type {string} */ name, /** @type {string} */ value) => () => {
      this.input(name).value = value;
      void this.ask();
      this.input(name).focus();
    };
    const changes = [];
    if (PLACE.some((name) => this.where[name])) changes.push({ words: "Any place", change: () => this.anywhere() });
    if (this.input("max_price").value) changes.push({ words: `No price limit (now $${this.input("max_price").value}/h)`, change: set("max_price", "") });
    if (this.input("max_model_len").value) changes.push({ words: "A shorter context", change: set("max_model_len", "") });
    if (this.input("market").value !== "auto") changes.push({ words: "Spot and on-demand", change: set("market", "auto") });
    return changes;
  }

  showAll() {
    this.all = true;
    this.draw();
    /** @type {HTMLElement | null} */ (this.main.querySelector(".offers-table tbody tr:nth-child(9) button"))?.focus();
  }

  /** @param {Offer} offer */
  choose(offer) {
    const back = document.activeElement?.getAttribute("aria-label");
    const where = fixed(offer);
    for (const name of PLACE) this.input(name).value = where[name];
    const market = this.input("market");
    // A spot offer of the same type would be tried before the on-demand one that was chosen.
    if (!offer.spot && offer.price > 0 && market.value === "auto") {
      market.value = "on-demand";
      void this.ask();
    } else this.draw();
    if (back) /** @type {HTMLElement | null} */ (this.main.querySelector(`[aria-label="${CSS.escape(back)}"]`))?.focus();
  }

  anywhere() {
    for (const name of PLACE) this.input(name).value = "";
    this.draw();
    this.input("provider").focus();
  }

  chooseLocal() {
    this.model.value = LOCAL_MODEL;
    for (const name of PLACE) fill(this.input(name));
    fill(this.input("provider"), h("option", { value: "local", selected: true }, providerName("local")));
    void this.ask();
    this.button.focus();
  }

  /** @returns {LaunchRequest} */
  request() {
    /** @type {Record<string, any>} */
    const wanted = { model_name: this.model.value.trim(), market: this.input("market").value, keep: this.input("keep").checked };
    for (const name of PLACE) if (this.where[name]) wanted[name] = this.where[name];
    for (const name of NUMBERS) {
      const { value } = this.input(name);
      if (value !== "") wanted[name] = Number(value);
    }
    // Left out would be the server's default; an empty field says never.
    wanted.idle_minutes ??= null;
    return /** @type {LaunchRequest} */ (wanted);
  }

  /** What makes sending pointless; all else is the server's to judge. */
  missing() {
    const name = this.model.value.trim();
    if (name === "") return "Choose a model.";
    const nothing = name === this.asked && at(this.fitting, this.where).length === 0;
    return nothing ? "No machine that is asked for fits it: look at what can be changed, under “What would be tried”." : "";
  }

  async send() {
    if (this.busy || !this.context.mayLaunch) return;
    clearProblem(this.form);
    const missing = this.missing();
    if (missing !== "") {
      showProblem(this.form, new Problem(422, { detail: missing, errors: [{ field: "model_name", allowed: missing }] }));
      return;
    }
    this.busy = true;
    this.button.setAttribute("aria-disabled", "true");
    fill(this.button, "Launching…");
    try {
      const launch = await submit(this.request());
      this.context.go(`/launch/${encodeURIComponent(launch.job_id)}`);
    } catch (error) {
      if (error instanceof Unreachable) error.hint += " Launching again is safe: the same form makes one launch.";
      showProblem(this.form, error);
      if (!this.form.querySelector("[aria-invalid]")) find(this.form, ".alert").scrollIntoView({ block: "center" });
    } finally {
      this.busy = false;
      this.button.removeAttribute("aria-disabled");
      fill(this.button, "Launch");
    }
  }
}

/** @param {import("./contract.js").Model} model */
const modelFacts = (model) =>
  [
    `${parameters(model.parameters)} parameters`,
    `${count(model.context)} tokens of context`,
    model.gated ? "gated: its licence has to be accepted first" : "",
  ].filter(Boolean).join(" · ");

/** @param {import("./contract.js").Model} model */
const modelOption = (model) => ({
  value: model.name,
  detail: [`${parameters(model.parameters)}`, `${count(model.context)} tokens`, model.gated ? "gated" : ""].filter(Boolean).join(" · "),
});

/** @param {typeof PLACE[number]} name @param {string} value @param {Offer} offer */
function optionWords(name, value, offer) {
  const from = offer.price === 0 ? "free" : `from ${price(offer.price)}`;
  if (name === "provider") return `${providerName(value)}: ${value === "local" ? "free, on the CPU" : from}`;
  if (name === "instance_type") return `${value} (${gpuName(offer.gpu)}): ${from}`;
  return `${value}: ${from}`;
}

// Words for numbers. Pure: no clock, no page.

const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const ONE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });
const MOMENT = new Intl.DateTimeFormat("en-GB", {
  day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit",
});

/** @type {Record<string, string>} */
const PROVIDERS = { aws: "AWS", azure: "Azure", gcp: "Google Cloud", local: "This host" };

/** @param {string} provider */
export const providerName = (provider) => PROVIDERS[provider] ?? provider;

/** @param {string} gpu */
export const gpuName = (gpu) => (gpu && gpu !== "none" ? gpu : "CPU only");

/** @param {{provider: string, region: string, zone?: string}} where */
export function place({ provider, region, zone }) {
  if (provider === "local") return providerName(provider);
  return [providerName(provider), region, zone && zone !== region ? zone : ""].filter(Boolean).join(" · ");
}

/** As the server says it: at most one decimal, never rounded up. @param {number} percentage */
export const percent = (percentage) => `${Math.floor(percentage * 10) / 10} %`;

/** @param {number} percentage */
export const wholePercent = (percentage) => `${Math.floor(percentage)} %`;

/** USD per hour, with as many digits as tell cheap ones apart. @param {number} usd */
export function price(usd) {
  if (usd === 0) return "free";
  return `$${usd < 1 ? usd.toFixed(3) : usd.toFixed(2)}/h`;
}

/** @param {number} usd */
export const cost = (usd) => (usd > 0 && usd < 0.01 ? "under $0.01" : `$${usd.toFixed(2)}`);

/** @param {number} gib */
export const gib = (gib) => `${ONE.format(gib)} GiB`;

/** @param {number} count */
export const count = (count) => ONE.format(count);

/** @param {number} number @param {string} one @param {string} [many] */
export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/** @param {number | string} parameters */
export function parameters(parameters) {
  if (typeof parameters === "string") return parameters;
  if (parameters >= 1e9) return `${ONE.format(parameters / 1e9)} B`;
  return parameters >= 1e6 ? `${ONE.format(parameters / 1e6)} M` : WHOLE.format(parameters);
}

/** Two units at most: `45 s`, `2 min 05 s`, `3 h 20 min`, `2 d 4 h`. @param {number} seconds */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
}

/** An estimate claims no more than it knows. @param {number} seconds */
export function roughly(seconds) {
  if (seconds < 45) return "less than a minute";
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `about ${minutes} min` : `about ${ONE.format(minutes / 60)} h`;
}

/** Seconds from one moment to another, both RFC 3339. @param {string} from @param {string} to */
export const secondsBetween = (from, to) => (Date.parse(to) - Date.parse(from)) / 1000;

/** In the reader's own time zone. @param {string} at */
export const moment = (at) => MOMENT.format(new Date(at));

/** @param {string} at */
export const timeOfDay = (at) => new Date(at).toLocaleTimeString("en-GB");

/** @param {string} at @param {number} now milliseconds */
export function ago(at, now) {
  const seconds = (now - Date.parse(at)) / 1000;
  if (seconds < 5) return "just now";
  return `${duration(seconds < 3600 && seconds >= 60 ? Math.floor(seconds / 60) * 60 : seconds).replace(" 00 s", "")} ago`;
}

/** Where a price is from: `live`, or a catalog by its short name. @param {string} source */
export function sourceName(source) {
  if (!/^https:\/\//.test(source)) return source;
  const url = new URL(source);
  const [, , repository] = url.pathname.split("/");
  return url.hostname === "github.com" && repository ? repository : url.hostname;
}

/** @param {string} id */
export const shortId = (id) => id.replace(/^launch-/, "").slice(0, 8);

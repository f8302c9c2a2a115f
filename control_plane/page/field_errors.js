// Problem details where they belong: beside the field that they name, the rest in the form's alert.

import { Problem } from "./api.js";
import { fill, find, h } from "./dom.js";

/** @param {HTMLElement} root a form with an alert of its own */
export function clearProblem(root) {
  hide(find(root, ".alert"));
  for (const error of root.querySelectorAll(".field-error")) hide(error);
  for (const field of root.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
}

/** @param {Element} element */
function hide(element) {
  fill(element);
  /** @type {HTMLElement} */ (element).hidden = true;
}

/** Show an error, and move the focus to the first field that it names. @param {HTMLElement} root @param {unknown} error */
export function showProblem(root, error) {
  const errors = error instanceof Problem ? error.errors : [];
  /** @type {HTMLElement | null} */
  let first = null;
  const rest = [];
  for (const { field, given, allowed } of errors) {
    const input = /** @type {HTMLElement | null} */ (root.querySelector(`[name="${CSS.escape(field)}"]`));
    const place = root.querySelector(`#${CSS.escape(field)}-error`);
    if (input === null || place === null) {
      rest.push(`${field}: ${allowed ?? ""}`);
      continue;
    }
    input.setAttribute("aria-invalid", "true");
    const what = allowed ?? /** @type {Error} */ (error).message;
    fill(place, given === undefined || given === null ? what : `“${given}” can't be used. Allowed: ${what}`);
    /** @type {HTMLElement} */ (place).hidden = false;
    first ??= input;
  }
  const alone = first !== null && rest.length === 0;
  if (!alone || hintOf(error)) showAlert(find(root, ".alert"), error, { brief: alone, rest });
  first?.focus();
}

/**
 * @param {HTMLElement} alert @param {unknown} error
 * @param {{brief?: boolean, rest?: string[]}} [options] brief: the fields say the rest
 */
export function showAlert(alert, error, { brief = false, rest = [] } = {}) {
  const hint = hintOf(error);
  fill(
    alert,
    brief ? null : h("p", {}, h("strong", {}, error instanceof Error ? error.message : String(error))),
    rest.map((line) => h("p", {}, line)),
    hint ? h("p", {}, hint) : null,
  );
  alert.hidden = false;
}

/** @param {unknown} error */
const hintOf = (error) => /** @type {{hint?: string}} */ (error)?.hint ?? "";

// The form that turns a token into a session.

import { Problem, get, request } from "./api.js";
import { fill, find, template } from "./dom.js";
import { clearProblem, showProblem } from "./field_errors.js";

/** @typedef {import("./contract.js").Session} Session */

/** @param {string} token @returns {Promise<Session>} */
export async function signIn(token) {
  await request("POST", "/session", { body: { token } });
  return get("/session");
}

/** @param {HTMLElement} main @param {{signedIn: (who: Session) => void, title: (...parts: string[]) => void}} context */
export function show(main, { signedIn, title }) {
  title("Sign in");
  fill(main, template("view-signin"));
  const form = /** @type {HTMLFormElement} */ (find(main, "#signin-form"));
  const input = /** @type {HTMLInputElement} */ (find(form, "#token"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clearProblem(form);
    const token = input.value.trim();
    try {
      if (token === "") throw tokenProblem("Give a token.");
      signedIn(await signIn(token));
    } catch (error) {
      const refused = error instanceof Problem && [401, 403].includes(error.status);
      showProblem(form, refused ? tokenProblem("This token is not known here, or was revoked.") : error);
    }
  });
}

/** @param {string} allowed */
const tokenProblem = (allowed) =>
  new Problem(422, { detail: allowed, errors: [{ field: "token", allowed }] });

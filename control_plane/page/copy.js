// Buttons that copy text, also where the page is not served over TLS and the clipboard API is missing.

import { announce } from "./announce.js";
import { fill, h, icon } from "./dom.js";

/** @param {string} what names it for screen readers @param {() => string} text @returns {HTMLButtonElement} */
export function copyButton(what, text) {
  const words = h("span", {}, "Copy");
  const button = h("button", { type: "button", class: "button small copy", "aria-label": `Copy ${what}` }, icon("copy"), words);
  button.addEventListener("click", async () => {
    const done = await copy(text(), button);
    fill(words, done ? "Copied" : "Select and copy by hand");
    announce(done ? `Copied ${what}` : `Could not copy ${what}`, { soon: true });
    setTimeout(() => fill(words, "Copy"), 2000);
  });
  return button;
}

/** @param {string} text @param {HTMLElement} back gets the focus again */
async function copy(text, back) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea", { class: "visually-hidden", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    // Old, but the only way on a plain http:// address other than localhost.
    const done = document.execCommand("copy");
    area.remove();
    back.focus();
    return done;
  }
}

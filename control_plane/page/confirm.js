// Asking before something that can't be undone.

import { fill, find } from "./dom.js";

/** @param {{title: string, text: string, yes: string, no: string}} words @returns {Promise<boolean>} */
export function confirmed({ title, text, yes, no }) {
  const dialog = /** @type {HTMLDialogElement} */ (find(document, "#confirm"));
  fill(find(dialog, "#confirm-title"), title);
  fill(find(dialog, "#confirm-text"), text);
  fill(find(dialog, "#confirm-yes"), yes);
  fill(find(dialog, "#confirm-no"), no);
  dialog.returnValue = "";
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    dialog.showModal();
  });
}

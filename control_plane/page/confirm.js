// Asking before something that can't be undone.

import { fill, find } from "./dom.js";

/** @type {(answer: boolean) => void} Answers what was asked last. */
let answer = () => {};

/** @param {{title: string, text: string, yes: string, no: string}} words @returns {Promise<boolean>} */
export function confirmed({ title, text, yes, no }) {
  const dialog = /** @type {HTMLDialogElement} */ (find(document, "#confirm"));
  fill(find(dialog, "#confirm-title"), title);
  fill(find(dialog, "#confirm-text"), text);
  fill(find(dialog, "#confirm-yes"), yes);
  fill(find(dialog, "#confirm-no"), no);
  dialog.returnValue = "";
  // That an earlier question was closed may be told only once this one is open: it is none of this one's.
  answer(false);
  return new Promise((resolve) => {
    answer = resolve;
    dialog.onclose = () => {
      if (!dialog.open) resolve(dialog.returnValue === "yes");
    };
    dialog.showModal();
  });
}

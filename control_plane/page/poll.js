// Asking again while somebody looks.

/**
 * Call at once, then again and again while the page is visible, never twice at a time.
 * @param {() => Promise<unknown>} ask handles its own errors
 * @param {() => number} pause milliseconds until the next
 * @param {AbortSignal} signal ends it
 * @returns {() => void} asks at once
 */
export function poll(ask, pause, signal) {
  let timer = 0;
  let busy = false;
  let soon = false;
  const again = async () => {
    clearTimeout(timer);
    // What is being asked now may have been answered before the reason to ask again.
    soon = busy;
    if (busy || signal.aborted) return;
    busy = true;
    await ask();
    busy = false;
    if (!signal.aborted && (soon || !document.hidden)) timer = window.setTimeout(again, soon ? 0 : pause());
  };
  document.addEventListener("visibilitychange", () => document.hidden || void again(), { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
  void again();
  return () => void again();
}

// Copy text to the clipboard, on any host.

import { make } from "./dom.js";

// Returns whether it succeeded. Browsers have no navigator.clipboard on a plain-http host, and may refuse it elsewhere.
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = make("textarea", { value: text, readOnly: true, className: "visually-hidden" });
    const focused = document.activeElement;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    focused?.focus({ preventScroll: true });
    return copied;
  }
}

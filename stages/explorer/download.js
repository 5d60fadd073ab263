// Save a file from the page, without any request.

import { make } from "./dom.js";
import { facts } from "./facts.js";

export function saveFile(blob, ending) {
  const name = facts.dataset.replace(/[^\p{L}\p{N}_-]+/gu, "_");
  const link = make("a", { href: URL.createObjectURL(blob), download: `${name}_${ending}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

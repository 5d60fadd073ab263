// Export points as CSV.

import { data, latentOf } from "./data.js";
import { className, facts, labeled, size } from "./facts.js";
import { state } from "./state.js";

// RFC 4180, as Python's csv module writes it.
const field = (value) => (/[",\r\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value));

// The index, the file, the class, the error and the latent of each, in the epoch on show; then what metadata.csv says.
export function csvOf(points) {
  const columns = Object.keys(data.columns);
  const dimensions = Array.from({ length: size }, (_, i) => `z${i + 1}`);
  const files = data.files.length > 0;
  const header = [
    "index",
    ...(files ? ["file"] : []),
    ...(labeled ? ["class"] : []),
    "error",
    ...dimensions,
    ...columns,
  ];
  const rows = points.map((point) => [
    facts.indices[point],
    ...(files ? [data.files[point]] : []),
    ...(labeled ? [className(point)] : []),
    data.snapshots[state.epoch].errors[point],
    ...latentOf(point, state.epoch),
    ...columns.map((name) => data.columns[name][point]),
  ]);
  return [header, ...rows].map((row) => `${row.map(field).join()}\n`).join("");
}

// Names of pictures.

import { data } from "./data.js";
import { className, facts } from "./facts.js";

// Its file, if any, and its index in the data set.
export const imageName = (point) => {
  const index = facts.indices[point];
  return data.files.length ? `${data.files[point]} (${index})` : `image ${index}`;
};

// Its index and its file without the folders; nothing where there are no files.
export const captionOf = (point) =>
  data.files.length ? `${facts.indices[point]} ${data.files[point].split("/").at(-1)}` : "";

// For screen readers: also its class, if any.
export const nameOf = (point) => [className(point), imageName(point)].filter(Boolean).join(", ");

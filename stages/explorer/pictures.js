// Images of a sheet and pixels of a decoder, on canvases of the size of a picture.

import { data, latentOf } from "./data.js";
import { decode, hasDecoder } from "./decoder.js";
import { facts } from "./facts.js";

// Draw the image at `position` of a sheet.
function drawTile(canvas, bitmap, position) {
  const { width, height, columns } = facts;
  fitCanvas(canvas, width, height);
  const x = (position % columns) * width;
  const y = Math.floor(position / columns) * height;
  canvas.getContext("2d").drawImage(bitmap, x, y, width, height, 0, 0, width, height);
}

// Draw pixels in [0, 1], [height, width, channels].
export function drawPixels(canvas, pixels, { width, height } = facts) {
  const { channels } = facts;
  fitCanvas(canvas, width, height);
  const image = new ImageData(width, height);
  for (let i = 0, at = 0; i < image.data.length; i += 4, at += channels) {
    for (let color = 0; color < 3; color++) image.data[i + color] = Math.round(255 * pixels[at + (color % channels)]);
    image.data[i + 3] = 255; // opaque
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function fitCanvas(canvas, width, height) {
  if (canvas.width === width && canvas.height === height) return;
  canvas.width = width;
  canvas.height = height;
}

export const drawImage = (canvas, point) => drawTile(canvas, data.images, point);

export function drawReconstruction(canvas, point, epoch) {
  if (hasDecoder(epoch)) drawPixels(canvas, decode(latentOf(point, epoch), epoch));
  else drawTile(canvas, data.sheets[epoch], point);
}

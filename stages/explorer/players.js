// Players: one at a time, until stopped.

import { element } from "./dom.js";

export const calm = matchMedia("(prefers-reduced-motion: reduce)");
const players = [];

// A button that plays and pauses, one at a time; `begin` starts what runs while `playing`.
export function player(id, begin) {
  const button = element(id);
  const self = { playing: false, stop: () => turnTo(false), toggle: () => turnTo(!self.playing) };
  function turnTo(playing) {
    if (playing === self.playing) return;
    if (playing) stopPlaying();
    self.playing = playing;
    button.setAttribute("aria-pressed", String(playing));
    if (playing) begin();
  }
  button.onclick = self.toggle;
  players.push(self);
  return self;
}

export function stopPlaying() {
  for (const each of players) each.stop();
}

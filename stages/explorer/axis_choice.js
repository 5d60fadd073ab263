// Choice of the axes and of their proportions.

import { element, make } from "./dom.js";
import { size } from "./facts.js";
import { axisNames, firstAxes, lanes } from "./latent_axes.js";
import { set, state, watch } from "./state.js";

export function buildAxes() {
  const box = element("proportions");
  box.onchange = () => set({ proportions: box.checked, view: null });
  element("proportions-label").hidden = lanes;
  watch(["proportions"], () => (box.checked = state.proportions));
  box.checked = state.proportions;
  if (size <= 3) return;
  const selects = firstAxes.map((_, i) => {
    const select = make("select", { id: `axis-${i + 1}` });
    select.setAttribute("aria-label", `Axis ${i + 1} of the plot`);
    select.append(
      ...axisNames.map((name) => make("option", { value: name, textContent: name.toUpperCase().replace("Z", "z") })),
    );
    select.onchange = () => {
      const axes = [...(state.axes ?? firstAxes)];
      const other = axes.indexOf(select.value);
      if (other >= 0) axes[other] = axes[i]; // the two swap
      axes[i] = select.value;
      set({ axes: axes.join() === firstAxes.join() ? null : axes, view: null });
    };
    return select;
  });
  element("plot-axes").append("Axes", ...selects);
  element("plot-axes").hidden = false;
  const show = () => selects.forEach((select, i) => (select.value = (state.axes ?? firstAxes)[i]));
  watch(["axes"], show);
  show();
}

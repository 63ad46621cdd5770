import { byId } from "./dom.js";

/** The box that the presenter stands in; the element draws what is inside. */
export class StageView {
  #stage = byId("stage");

  render({ state, phase }, strings, avatars) {
    this.#stage.dataset.phase = phase;
    // Without a session nobody was chosen yet.
    const avatar = state.avatar ?? (state.invitation && avatars[0]);
    if (avatar) this.#stage.style.setProperty("--stage-ratio", `${avatar.width} / ${avatar.height}`);
  }
}

import { byId, element } from "./dom.js";

const STAGES = ["first_token", "first_sentence", "first_audio", "first_frame", "first_fragment"];

/** For developers, with `?debug`: where the time of a turn went, and how the player is. */
export class DebugView {
  #box = byId("debug");
  #painted = null;
  #reports = { drift: null, stalls: 0 };

  constructor() {
    this.#box.hidden = false;
  }

  /** A `playback` message that was sent. */
  note({ since_text_ms: sinceText, drift_ms: drift }) {
    if (sinceText !== undefined) this.#painted = sinceText;
    if (drift !== undefined) this.#reports.drift = drift;
  }

  render({ state, phase }, player) {
    const showing = player.current;
    const facts = {
      state: phase,
      playback: showing ? showing.way : player.playback,
      segment: showing?.segment.id ?? "–",
      "A/V drift": this.#reports.drift === null ? "–" : `${this.#reports.drift} ms`,
      "idle frame": player.idleFrame ?? "–",
    };
    const rows = Object.entries(facts).flatMap(([name, value]) => [
      element("dt", {}, name),
      element("dd", {}, String(value)),
    ]);
    this.#box.replaceChildren(element("dl", {}, ...rows), this.#waterfall(state.timings));
  }

  #waterfall(timings) {
    const times = { ...timings };
    if (this.#painted !== null) times.first_painted = this.#painted;
    const names = [...STAGES, "first_painted", "finished"].filter((name) => times[name] !== undefined);
    const longest = Math.max(1, ...names.map((name) => times[name]));
    const cells = names.flatMap((name) => [
      element("span", {}, name.replace("_", " ")),
      element("meter", { min: 0, max: longest, value: times[name] }),
      element("span", {}, `${Math.round(times[name])} ms`),
    ]);
    return element("div", { className: "waterfall" }, ...cells);
  }
}

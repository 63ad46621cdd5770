import { byId, setIcon, setText, setToggle } from "./dom.js";

/** The presenter's picture with status, caption and sound. */
export class StageView {
  #stage = byId("stage");
  #poster = byId("poster");
  #status = byId("status-text");
  #caption = byId("caption");
  #mute = byId("mute");
  #unmute = byId("unmute");
  #aiLabel = byId("ai-label");

  constructor({ onMute, onUnmute }) {
    this.#mute.addEventListener("click", onMute);
    this.#unmute.addEventListener("click", onUnmute);
    this.#poster.addEventListener("error", () => (this.#poster.hidden = true));
  }

  render({ state, phase }, strings, avatars) {
    this.#stage.dataset.phase = phase;
    const text = strings.phases[phase];
    setText(this.#status, typeof text === "function" ? text(state.queue) : text);
    setText(this.#caption, state.transcript || state.caption);
    setText(this.#aiLabel, strings.aiLabel);
    this.#aiLabel.title = strings.aiLabelTitle;
    this.#aiLabel.className = `ai-label ${state.aiLabel}`;
    this.#aiLabel.hidden = state.aiLabel === "off";
    const { blocked, muted } = state.sound;
    this.#unmute.hidden = !blocked;
    this.#mute.hidden = phase === "uninvited";
    setIcon(this.#mute, muted || blocked ? "muted" : "sound");
    setToggle(this.#mute, strings.mute, muted || blocked);
    // Without a session nobody was chosen yet.
    this.#showPoster(state.avatar ?? (state.invitation && avatars[0]));
  }

  #showPoster(avatar) {
    if (!avatar || this.#poster.dataset.url === avatar.poster_url) return;
    this.#poster.dataset.url = avatar.poster_url;
    this.#poster.src = avatar.poster_url;
    this.#poster.hidden = false;
    this.#stage.style.setProperty("--stage-ratio", `${avatar.width} / ${avatar.height}`);
  }
}

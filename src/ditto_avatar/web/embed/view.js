/** Draws the parts of `<ditto-avatar>` as its conversation is now. */
import { TEXTS } from "./texts.js";

export class ElementView {
  #root;
  #items = new Map();

  /** @param root the element's shadow root, with its markup in it */
  constructor(root) {
    this.#root = root;
  }

  part(selector) {
    return this.#root.querySelector(selector);
  }

  /** @param start "begun"; "button": a person begins; "script": the page does */
  render({ conversation, player, voice }, start) {
    const { state, phase, busy } = conversation;
    const texts = TEXTS[state.language];
    const begun = start === "begun";
    this.part(".panel").lang = state.language;
    this.#name(texts);
    const { blocked, muted } = player.sound;
    this.part(".stage").dataset.phase = phase;
    this.part(".row .pill").hidden = !begun;
    this.#write(".row .pill", begun ? told(texts.phases[phase], state.queue) : "");
    this.#write(".caption", state.transcript || state.caption);
    this.part(".start").hidden = start !== "button";
    this.#placeLabel(state.aiLabel);
    this.part(".mute").hidden = !begun || phase === "uninvited";
    this.part(".unmute").hidden = !blocked;
    this.part(".mute").ariaPressed = String(blocked || muted);
    this.part(".interrupt").hidden = !busy;
    this.part(".microphone").hidden = !voice.available;
    this.part(".microphone").ariaPressed = String(voice.mode !== null);
    this.part("form").hidden = state.invitation !== null || !begun;
    const notice = state.notices.at(-1);
    this.#write(".notice", notice ? notice.message || texts.failed : "");
    if (state.avatar) this.showPoster(state.avatar);
    this.#renderLog(state.messages);
  }

  showPoster(avatar) {
    for (const image of this.#root.querySelectorAll("img")) {
      if (image.getAttribute("src") !== avatar.poster_url) image.src = avatar.poster_url;
    }
    this.part(".stage").style.setProperty("--ratio", `${avatar.width} / ${avatar.height}`);
  }

  /** Forgets what has been said. */
  clear() {
    this.#items.clear();
    this.part("ol").replaceChildren();
  }

  #placeLabel(where) {
    const label = this.part(".label");
    const place = this.part(where === "bottom" ? ".over" : ".row");
    if (label.parentNode !== place) place.insertBefore(label, where === "bottom" ? null : this.part(".mute"));
    label.hidden = where === "off";
  }

  #name(texts) {
    const label = (selector, text) => (this.part(selector).ariaLabel = text);
    for (const name of ["send", "interrupt", "microphone", "mute"]) label(`.${name}`, texts[name]);
    for (const name of ["start", "unmute"]) this.#write(`.${name}`, texts[name]);
    label(".stage", texts.stage);
    label(".log", texts.log);
    label("input", texts.field);
    this.part("input").placeholder = texts.placeholder;
    const expanded = this.part(".toggle").ariaExpanded === "true";
    label(".toggle", expanded ? texts.close : texts.open);
    this.#write(".label", texts.label);
    this.part(".label").title = texts.labelTitle;
  }

  #renderLog(messages) {
    const log = this.part(".log");
    const keys = new Set(messages.map(({ key }) => key));
    for (const [key, item] of this.#items) {
      if (keys.has(key)) continue;
      item.remove();
      this.#items.delete(key);
    }
    for (const { key, role, text } of messages) {
      let item = this.#items.get(key);
      if (!item) {
        item = document.createElement("li");
        item.className = role;
        this.#items.set(key, item);
        this.part("ol").append(item);
      }
      if (item.textContent === text) continue;
      item.textContent = text;
      log.scrollTop = log.scrollHeight;
    }
  }

  #write(selector, text) {
    const node = this.part(selector);
    if (node.textContent !== text) node.textContent = text;
  }
}

/** A text of a phase; a place in the line is told with it. */
export function told(text, place) {
  return typeof text === "function" ? text(place) : text;
}

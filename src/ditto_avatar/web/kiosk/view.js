import { byId, element, setLabel, setText } from "../ui/dom.js";
import { STRINGS } from "../ui/strings.js";
import { TEXTS } from "./texts.js";

/** The controls with the keys that press them; the questions have 1 to 6. */
export const CONTROLS = {
  microphone: "7",
  low: "8",
  contrast: "9",
  language: "0",
  again: "+",
  stop: "-",
};
export const EXIT_KEY = "*";

/** Draws the kiosk: picture, caption, questions, controls. */
export class KioskView {
  #questions = byId("questions");
  #shown = null;
  #onAsk;

  constructor({ onAsk, onPress }) {
    this.#onAsk = onAsk;
    for (const [name, key] of Object.entries(CONTROLS)) {
      const label = element("span", { className: "label" });
      byId(name).append(keycap(key), label);
      byId(name).addEventListener("click", () => onPress(name));
    }
    byId("leave").addEventListener("click", () => onPress("leave"));
    for (const image of [byId("poster")]) image.addEventListener("error", () => (image.hidden = true));
  }

  /** @param look {low, contrast}: how the person wants it
   * @param questions that can be asked, in the session's language */
  render({ state, phase, busy }, { look, questions, voice, here }) {
    const strings = STRINGS[state.language];
    const texts = TEXTS[state.language];
    document.documentElement.lang = state.language;
    document.body.classList.toggle("low", look.low);
    document.body.classList.toggle("contrast", look.contrast);
    document.body.classList.toggle("away", !here);
    const told = strings.phases[phase];
    setText(byId("status"), typeof told === "function" ? told(state.queue) : told);
    byId("stage").dataset.phase = phase;
    byId("stage").setAttribute("aria-label", strings.stage);
    setText(byId("caption"), state.transcript || state.caption);
    this.#renderLabel(state, strings);
    this.#renderPoster(state.avatar);
    setText(byId("hint"), this.#hint(state, strings, texts));
    this.#renderQuestions(questions);
    this.#renderControls({ state, busy, look, voice }, texts);
  }

  #hint({ line, invitation, listening, sound }, strings, texts) {
    if (invitation) return strings.invitationTitle;
    if (line !== "open") return texts.offline;
    if (sound.blocked) return strings.unmute;
    return listening ? texts.listening : texts.ask;
  }

  #renderLabel({ aiLabel }, strings) {
    const label = byId("ai-label");
    label.hidden = aiLabel === "off";
    label.className = `ai-label ${aiLabel}`;
    setText(label, strings.aiLabel);
    label.title = strings.aiLabelTitle;
  }

  #renderPoster(avatar) {
    const poster = byId("poster");
    if (!avatar || poster.dataset.url === avatar.poster_url) return;
    poster.dataset.url = poster.src = avatar.poster_url;
    poster.hidden = false;
    byId("stage").style.setProperty("--ratio", `${avatar.width} / ${avatar.height}`);
  }

  #renderQuestions(questions) {
    const shown = questions.join("\n");
    if (this.#shown === shown) return;
    this.#shown = shown;
    const items = questions.map((text, i) => {
      const onclick = () => this.#onAsk(text);
      const button = element("button", { type: "button", onclick }, keycap(String(i + 1)), element("span", {}, text));
      return element("li", {}, button);
    });
    this.#questions.replaceChildren(...items);
  }

  #renderControls({ state, busy, look, voice }, texts) {
    const write = (name, text) => setText(byId(name).querySelector(".label"), text);
    for (const name of ["microphone", "contrast", "language", "again", "stop"]) write(name, texts[name]);
    write("low", look.low ? texts.high : texts.low);
    setLabel(byId("language"), texts.languageLabel);
    byId("microphone").hidden = !voice.available;
    byId("microphone").setAttribute("aria-pressed", String(voice.mode !== null));
    byId("contrast").setAttribute("aria-pressed", String(look.contrast));
    byId("stop").disabled = !busy;
    byId("again").disabled = busy || !state.messages.some(({ clips }) => clips.length);
    setLabel(byId("leave"), texts.leave);
  }
}

function keycap(key) {
  const cap = element("kbd", {}, key);
  cap.setAttribute("aria-hidden", "true");
  return cap;
}

import { Microphone } from "../core/microphone.js";
import { isEcho, Recognition } from "../core/recognition.js";
import { byId, setLabel } from "./dom.js";

// A press shorter than this is a click: it starts, and the next one stops.
const CLICK_MS = 300;
const PUSH_TO_TALK = "push_to_talk";
const HANDS_FREE = "hands_free";

/** The two microphone buttons: hold to talk, and hands-free. The server transcribes, or the
 * browser where the server cannot. */
export class VoiceInput {
  #push = byId("microphone");
  #handsFree = byId("hands-free");
  #connection;
  #conversation;
  #onText;
  #onSpeech;
  #microphone = new Microphone();
  #recognition = new Recognition();
  #mode = null;
  #pressedAt = 0;
  #changing = Promise.resolve();

  constructor({ connection, conversation, onText, onSpeech }) {
    this.#connection = connection;
    this.#conversation = conversation;
    this.#onText = onText;
    this.#onSpeech = onSpeech;
    this.#handsFree.addEventListener("click", () => this.#toggle(HANDS_FREE));
    this.#push.addEventListener("pointerdown", (event) => this.#press(event));
    for (const type of ["pointerup", "pointercancel"]) {
      this.#push.addEventListener(type, () => this.#release());
    }
    this.#push.addEventListener("keydown", (event) => {
      if ((event.key === " " || event.key === "Enter") && !event.repeat) this.#press(event);
    });
    this.#push.addEventListener("keyup", (event) => {
      if (event.key === " " || event.key === "Enter") this.#release();
    });
    connection.on("state", ({ state }) => state !== "open" && this.#set(null));
  }

  render({ state }, strings) {
    const { transcription, listening } = state;
    const usable = transcription === "server" ? Microphone.available : Recognition.available;
    this.#push.hidden = this.#handsFree.hidden = !transcription || !usable;
    this.#show(this.#push, listening === PUSH_TO_TALK, strings.microphone, strings.microphoneStop);
    this.#show(this.#handsFree, listening === HANDS_FREE, strings.handsFree, strings.handsFreeStop);
  }

  #show(button, pressed, label, pressedLabel) {
    button.setAttribute("aria-pressed", String(pressed));
    setLabel(button, pressed ? pressedLabel : label);
  }

  #press(event) {
    event.preventDefault();
    this.#push.focus();
    this.#pressedAt = event.timeStamp;
    if (this.#mode === PUSH_TO_TALK) return this.#set(null);
    if (event.pointerId !== undefined) this.#push.setPointerCapture(event.pointerId);
    // Whoever takes the word interrupts.
    this.#onSpeech();
    this.#set(PUSH_TO_TALK);
  }

  #release() {
    const held = performance.now() - this.#pressedAt;
    if (this.#mode === PUSH_TO_TALK && held > CLICK_MS) this.#set(null);
  }

  #toggle(mode) {
    this.#set(this.#mode === mode ? null : mode);
  }

  /** Stops what is on and starts `mode`, one after the other however fast the person clicks. */
  #set(mode) {
    if (this.#mode === mode) return;
    const before = this.#mode;
    this.#mode = mode;
    this.#conversation.update({ listening: mode, transcript: "" });
    this.#changing = this.#changing.then(async () => {
      if (before) await this.#stop();
      if (mode && this.#mode === mode) await this.#start(mode);
    });
  }

  async #start(mode) {
    const { transcription } = this.#conversation.state;
    try {
      if (transcription === "server") await this.#startMicrophone(mode);
      else this.#startRecognition(mode);
    } catch (error) {
      this.#failed(error.name);
    }
  }

  async #startMicrophone(mode) {
    this.#connection.send({ type: "audio.start", mode });
    await this.#microphone.start((block) => this.#connection.sendAudio(block));
  }

  #startRecognition(mode) {
    this.#conversation.notify("browser_transcription");
    const { language } = this.#conversation.state;
    this.#recognition.start(
      { language, continuous: mode === HANDS_FREE },
      {
        onInterim: (text) => this.#heard(text, () => this.#conversation.update({ transcript: text })),
        onFinal: (text) => this.#heard(text, () => this.#onText(text)),
        onError: (code) => this.#failed(code),
        onEnd: () => this.#set(null),
      },
    );
  }

  #heard(text, act) {
    const { speaking, caption } = this.#conversation.state;
    if (text === "" || (speaking && isEcho(text, caption))) return;
    if (speaking) this.#onSpeech();
    act();
  }

  async #stop() {
    this.#recognition.stop();
    if (!this.#microphone.open) return;
    await this.#microphone.stop();
    this.#connection.send({ type: "audio.stop" });
  }

  #failed(name) {
    if (name === "no-speech" || name === "aborted") return;
    const denied = ["NotAllowedError", "not-allowed", "service-not-allowed"].includes(name);
    const missing = ["NotFoundError", "audio-capture"].includes(name);
    const code = denied ? "microphone_denied" : missing ? "microphone_missing" : "speech_unsupported";
    this.#conversation.notify(code);
    this.#set(null);
  }
}

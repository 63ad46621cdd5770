import { Hearing } from "../core/hearing.js";
import { Microphone } from "../core/microphone.js";
import { Recognition } from "../core/recognition.js";
import { byId, setToggle } from "./dom.js";

// A press shorter than this is a click: it starts, and the next one stops.
const CLICK_MS = 300;
// The click that a pointer makes comes this soon after it was lifted; assistive technology clicks
// without one.
const POINTER_CLICK_MS = 500;
const PUSH_TO_TALK = "push_to_talk";
const HANDS_FREE = "hands_free";

/** The two microphone buttons: hold to talk, and hands-free. The server transcribes, or the
 * browser where the server cannot. */
export class VoiceInput {
  #push = byId("microphone");
  #handsFree = byId("hands-free");
  #connection;
  #conversation;
  #idleFrame;
  #onText;
  #onSpeech;
  #microphone = new Microphone();
  #recognition = new Recognition();
  #hearing = new Hearing();
  #mode = null;
  #serverListens = false;
  #pressedAt = null;
  #liftedAt = -Infinity;
  #changing = Promise.resolve();

  constructor({ connection, conversation, idleFrame, onText, onSpeech }) {
    this.#connection = connection;
    this.#conversation = conversation;
    this.#idleFrame = idleFrame;
    this.#onText = onText;
    this.#onSpeech = onSpeech;
    this.#handsFree.addEventListener("click", () => this.#toggle(HANDS_FREE));
    this.#push.addEventListener("pointerdown", (event) => this.#press(event));
    for (const type of ["pointerup", "pointercancel"]) {
      this.#push.addEventListener(type, (event) => {
        this.#liftedAt = event.timeStamp;
        this.#release(event);
      });
    }
    this.#push.addEventListener("keydown", (event) => isPressing(event) && this.#press(event));
    this.#push.addEventListener("keyup", (event) => isPressing(event) && this.#release(event));
    this.#push.addEventListener("click", (event) => this.#click(event));
    connection.on("state", ({ state }) => state !== "open" && this.#set(null));
    conversation.on("changed", () => this.#hearing.speaks(conversation.state.caption));
  }

  render({ state }, strings) {
    const { transcription, listening } = state;
    const usable = transcription === "server" ? Microphone.available : Recognition.available;
    this.#push.hidden = this.#handsFree.hidden = !transcription || !usable;
    setToggle(this.#push, strings.microphone, listening === PUSH_TO_TALK);
    setToggle(this.#handsFree, strings.handsFree, listening === HANDS_FREE);
  }

  #press(event) {
    // Or the key would click as well.
    event.preventDefault();
    if (event.repeat) return;
    this.#push.focus();
    this.#pressedAt = event.timeStamp;
    if (this.#mode === PUSH_TO_TALK) return this.#set(null);
    if (event.pointerId !== undefined) this.#push.setPointerCapture(event.pointerId);
    this.#takeTheWord();
  }

  #release(event) {
    event.preventDefault();
    if (this.#pressedAt === null) return;
    const held = event.timeStamp - this.#pressedAt;
    this.#pressedAt = null;
    if (this.#mode === PUSH_TO_TALK && held > CLICK_MS) this.#set(null);
  }

  /** Without a pointer or a key nothing is held: each click changes it. */
  #click(event) {
    if (event.timeStamp - this.#liftedAt < POINTER_CLICK_MS) return;
    if (this.#mode === PUSH_TO_TALK) this.#set(null);
    else this.#takeTheWord();
  }

  /** Begin to listen: speaking interrupts the answer. */
  #takeTheWord() {
    this.#onSpeech();
    this.#set(PUSH_TO_TALK);
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
      if (this.#mode === mode) this.#set(null);
    }
  }

  /** The server listens only to a microphone that is open, and wanted still: it may take the
   * person a while to allow it. */
  async #startMicrophone(mode) {
    await this.#microphone.start({
      onopen: () => {
        const begun = { type: "audio.start", mode, idle_frame: this.#idleFrame() };
        this.#serverListens = this.#mode === mode && this.#connection.send(begun);
      },
      onblock: (block) => this.#serverListens && this.#connection.sendAudio(block),
    });
  }

  #startRecognition(mode) {
    this.#conversation.notify("browser_transcription");
    const { language } = this.#conversation.state;
    this.#recognition.start(
      { language, continuous: mode === HANDS_FREE },
      {
        onVoice: (at) => this.#hearing.voiceBegan(at),
        onInterim: (text) => this.#heard(text, false),
        onFinal: (text) => this.#heard(text, true),
        onError: (code) => this.#failed(code),
        onEnd: () => this.#set(null),
      },
    );
  }

  #heard(text, final) {
    const isPerson = this.#hearing.isPerson(text, final);
    if (isPerson && this.#conversation.state.speaking) this.#onSpeech();
    if (final || isPerson) this.#conversation.update({ transcript: final ? "" : text });
    if (isPerson && final) this.#onText(text);
  }

  async #stop() {
    this.#recognition.stop();
    this.#hearing.reset();
    await this.#microphone.stop();
    if (this.#serverListens) this.#connection.send({ type: "audio.stop" });
    this.#serverListens = false;
  }

  #failed(name) {
    const denied = ["NotAllowedError", "not-allowed", "service-not-allowed"].includes(name);
    const missing = ["NotFoundError", "audio-capture"].includes(name);
    const code = denied ? "microphone_denied" : missing ? "microphone_missing" : "speech_unsupported";
    this.#conversation.notify(code);
  }
}

function isPressing({ key }) {
  return key === " " || key === "Enter";
}

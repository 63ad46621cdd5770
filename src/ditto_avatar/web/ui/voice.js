import { HANDS_FREE, PUSH_TO_TALK } from "../core/voice.js";
import { byId, setToggle } from "./dom.js";

// A press shorter than this is a click: it starts, and the next one stops.
const CLICK_MS = 300;
// The click that a pointer makes comes this soon after it was lifted; assistive technology clicks
// without one.
const POINTER_CLICK_MS = 500;

/** The two microphone buttons: hold to talk, and hands-free. */
export class VoiceView {
  #push = byId("microphone");
  #handsFree = byId("hands-free");
  #voice;
  #pressedAt = null;
  #liftedAt = -Infinity;

  constructor(voice) {
    this.#voice = voice;
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
  }

  render({ state: { listening } }, strings) {
    this.#push.hidden = this.#handsFree.hidden = !this.#voice.available;
    setToggle(this.#push, strings.microphone, listening === PUSH_TO_TALK);
    setToggle(this.#handsFree, strings.handsFree, listening === HANDS_FREE);
  }

  #press(event) {
    // Or the key would click as well.
    event.preventDefault();
    if (event.repeat) return;
    this.#push.focus();
    this.#pressedAt = event.timeStamp;
    if (this.#voice.mode === PUSH_TO_TALK) return this.#voice.set(null);
    if (event.pointerId !== undefined) this.#push.setPointerCapture(event.pointerId);
    this.#voice.takeTheWord();
  }

  #release(event) {
    event.preventDefault();
    if (this.#pressedAt === null) return;
    const held = event.timeStamp - this.#pressedAt;
    this.#pressedAt = null;
    if (this.#voice.mode === PUSH_TO_TALK && held > CLICK_MS) this.#voice.set(null);
  }

  /** Without a pointer or a key nothing is held: each click changes it. */
  #click(event) {
    if (event.timeStamp - this.#liftedAt < POINTER_CLICK_MS) return;
    if (this.#voice.mode === PUSH_TO_TALK) this.#voice.set(null);
    else this.#voice.takeTheWord();
  }

  #toggle(mode) {
    this.#voice.set(this.#voice.mode === mode ? null : mode);
  }
}

function isPressing({ key }) {
  return key === " " || key === "Enter";
}

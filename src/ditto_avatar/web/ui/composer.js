import { byId } from "./dom.js";

/** The line where the person types. Enter sends, Shift+Enter begins a new line. */
export class ComposerView {
  #form = byId("composer");
  #text = byId("text");
  #send = byId("send");
  #interrupt = byId("interrupt");
  #onSend;
  #busy = false;

  constructor({ onSend, onInterrupt }) {
    this.#onSend = onSend;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#text.addEventListener("keydown", (event) => this.#key(event));
    this.#text.addEventListener("input", () => this.#adjust());
    this.#interrupt.addEventListener("click", () => {
      onInterrupt();
      this.focus();
    });
    this.#adjust();
  }

  focus() {
    this.#text.focus({ preventScroll: true });
  }

  render({ state, busy }) {
    this.#form.hidden = state.invitation !== null;
    this.#busy = busy;
    this.#adjustButtons();
  }

  #key(event) {
    // While a Korean syllable is being composed, Enter belongs to the input method.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#submit();
  }

  #submit() {
    const text = this.#text.value.trim();
    if (!text) return;
    this.#text.value = "";
    this.#adjust();
    this.#onSend(text);
    this.focus();
  }

  #adjust() {
    this.#text.style.height = "auto";
    this.#text.style.height = `${this.#text.scrollHeight}px`;
    this.#adjustButtons();
  }

  #adjustButtons() {
    const empty = this.#text.value.trim() === "";
    this.#interrupt.hidden = !this.#busy;
    this.#send.hidden = this.#busy && empty;
    this.#send.setAttribute("aria-disabled", String(empty));
  }
}

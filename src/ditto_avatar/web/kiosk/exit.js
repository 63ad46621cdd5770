import { byId, setLabel, setText } from "../ui/dom.js";

const DIGITS = [..."1234567890"];
const MOST_DIGITS = 12;
const ANSWERS = { 403: "passcodeWrong", 422: "passcodeWrong", 429: "passcodeLater" };

/** Asks staff for the passcode; the server says whether it is right. */
export class ExitDialog {
  #dialog = byId("exit");
  #typed = byId("exit-typed");
  #problem = byId("exit-problem");
  #code = "";
  #texts = null;
  #onLeave;

  /** @param onLeave () => void: the passcode was right */
  constructor({ onLeave }) {
    this.#onLeave = onLeave;
    for (const digit of DIGITS) {
      const key = Object.assign(document.createElement("button"), { type: "button", textContent: digit });
      key.addEventListener("click", () => this.press(digit));
      byId("exit-keys").append(key);
    }
    byId("exit-erase").addEventListener("click", () => this.press("Backspace"));
    byId("exit-cancel").addEventListener("click", () => this.close());
    byId("exit-enter").addEventListener("click", () => this.#submit());
  }

  get open() {
    return this.#dialog.open;
  }

  show(texts) {
    this.#texts = texts;
    this.#write("");
    setText(this.#problem, "");
    setText(byId("exit-title"), texts.passcode);
    setText(byId("exit-cancel"), texts.cancel);
    setText(byId("exit-enter"), texts.enter);
    setLabel(byId("exit-erase"), texts.erase);
    this.#dialog.showModal();
  }

  close() {
    this.#dialog.close();
  }

  /** A key of the keypad. */
  press(key) {
    if (DIGITS.includes(key)) this.#write((this.#code + key).slice(0, MOST_DIGITS));
    else if (key === "Backspace" || key === "Delete") this.#write(this.#code.slice(0, -1));
    else if (key === "Enter") this.#submit();
    else if (["*", "-", "Escape"].includes(key)) this.close();
  }

  #write(code) {
    this.#code = code;
    setText(this.#typed, "•".repeat(code.length) || "–");
  }

  async #submit() {
    const passcode = this.#code;
    this.#write("");
    try {
      const answer = await fetch(new URL("api/kiosk/exit", document.baseURI), {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ passcode }),
      });
      if (answer.ok) return this.#onLeave();
      setText(this.#problem, this.#texts[ANSWERS[answer.status] ?? "passcodeFailed"]);
    } catch {
      setText(this.#problem, this.#texts.passcodeFailed);
    }
  }
}

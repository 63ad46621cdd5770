import { byId, setLabel, setText } from "./dom.js";

const NAMES = { film: "conversation-film.zip", clips: "conversation.zip" };

/** The button and the dialog that save the conversation, as a film or as clips. `session` gives
 * {session, token}. */
export class SavingView {
  #button = byId("saving-open");
  #dialog = byId("saving");
  #choices = [...byId("saving-choices").querySelectorAll("button")];
  #status = byId("saving-status");
  #session;
  #strings = {};
  #running = null;

  constructor({ session }) {
    this.#session = session;
    this.#button.addEventListener("click", () => this.#open());
    byId("saving-close").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("close", () => this.#running?.abort());
    for (const button of this.#choices) {
      button.addEventListener("click", () => this.#save(button.dataset.as));
    }
  }

  render({ state }, strings) {
    this.#strings = strings;
    this.#button.hidden = !state.messages.some(({ clips }) => clips.length > 0);
    setLabel(this.#button, strings.saving);
  }

  #open() {
    setText(this.#status, "");
    this.#dialog.showModal();
  }

  async #save(as) {
    const running = (this.#running = new AbortController());
    this.#busy(true);
    setText(this.#status, this.#strings.savingBusy);
    try {
      download(await this.#fetch(as, running.signal), NAMES[as]);
      setText(this.#status, this.#strings.savingDone);
    } catch {
      // Closing the dialog is no failure.
      setText(this.#status, running.signal.aborted ? "" : this.#strings.savingFailed);
    }
    if (this.#running === running) this.#running = null;
    this.#busy(false);
  }

  async #fetch(as, signal) {
    const { session, token } = this.#session();
    const url = new URL(`api/sessions/${session}/export?as=${as}`, document.baseURI);
    const answer = await fetch(url, { headers: { Authorization: `Bearer ${token}` }, signal });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return answer.blob();
  }

  #busy(busy) {
    for (const button of this.#choices) button.disabled = busy;
  }
}

function download(blob, name) {
  const link = Object.assign(document.createElement("a"), {
    href: URL.createObjectURL(blob),
    download: name,
  });
  link.click();
  // The browser has taken the address by the time it asks for anything else.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

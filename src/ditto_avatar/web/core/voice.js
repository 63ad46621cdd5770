/**
 * What the person says aloud: the microphone for a server that transcribes, the browser's own
 * recogniser where the server cannot. No DOM; the state is in the conversation (`listening`).
 * What listening needs is loaded when somebody talks for the first time.
 */
export const PUSH_TO_TALK = "push_to_talk";
export const HANDS_FREE = "hands_free";

export class Voice {
  #connection;
  #conversation;
  #idleFrame;
  #onText;
  #onSpeech;
  #microphone = null;
  #recognition = null;
  #hearing = null;
  #mode = null;
  #serverListens = false;
  #changing = Promise.resolve();
  #line;

  /** @param onText (text) => void: the recogniser understood a question
   * @param onSpeech () => void: the person begins to speak
   * @param line () => the `RtcLine`, or null: the other way that a microphone may take */
  constructor({ connection, conversation, idleFrame, onText, onSpeech, line = () => null }) {
    this.#line = line;
    this.#connection = connection;
    this.#conversation = conversation;
    this.#idleFrame = idleFrame;
    this.#onText = onText;
    this.#onSpeech = onSpeech;
    connection.on("state", ({ state }) => state !== "open" && this.set(null));
    conversation.on("changed", () => this.#hearing?.speaks(conversation.state.caption));
  }

  /** Whether this browser and this server can listen. */
  get available() {
    const { transcription } = this.#conversation.state;
    const usable = transcription === "server" ? canRecord() : canRecognise();
    return Boolean(transcription && usable);
  }

  /** PUSH_TO_TALK, HANDS_FREE, or null while nobody listens. */
  get mode() {
    return this.#mode;
  }

  /** Begin to listen to one question: speaking interrupts the answer. */
  takeTheWord() {
    this.#onSpeech();
    this.set(PUSH_TO_TALK);
  }

  /** Stops what is on and starts `mode`, one after the other however fast the person clicks. */
  set(mode) {
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
      else await this.#startRecognition(mode);
    } catch (error) {
      this.#failed(error.name);
      if (this.#mode === mode) this.set(null);
    }
  }

  /** The server listens only to a microphone that is open, and wanted still: it may take the
   * person a while to allow it. */
  async #startMicrophone(mode) {
    this.#microphone ??= await load("Microphone", "./microphone.js");
    await this.#microphone.start({
      onopen: () => {
        const begun = { type: "audio.start", mode, idle_frame: this.#idleFrame() };
        this.#serverListens = this.#mode === mode && this.#connection.send(begun);
      },
      onblock: (block) => {
        // Over WebRTC until that breaks, in the middle of a word if need be.
        if (this.#serverListens && !this.#line()?.listening) this.#connection.sendAudio(block);
      },
    });
    await this.#line()?.listen(this.#microphone.track);
  }

  async #startRecognition(mode) {
    this.#conversation.notify("browser_transcription");
    this.#hearing ??= await load("Hearing", "./hearing.js");
    this.#recognition ??= await load("Recognition", "./recognition.js");
    if (this.#mode !== mode) return;
    const { language, caption } = this.#conversation.state;
    this.#hearing.speaks(caption);
    this.#recognition.start(
      { language, continuous: mode === HANDS_FREE },
      {
        onVoice: (at) => this.#hearing.voiceBegan(at),
        onInterim: (text) => this.#heard(text, false),
        onFinal: (text) => this.#heard(text, true),
        onError: (code) => this.#failed(code),
        onNothing: () => this.#conversation.notify("nothing_heard"),
        onEnd: () => this.set(null),
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
    this.#recognition?.stop();
    this.#hearing?.reset();
    if (this.#microphone) await this.#line()?.listen(null);
    await this.#microphone?.stop();
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

async function load(name, module) {
  const { [name]: Part } = await import(module);
  return new Part();
}

function canRecord() {
  return Boolean(navigator.mediaDevices?.getUserMedia && globalThis.AudioWorkletNode);
}

function canRecognise() {
  return Boolean(globalThis.SpeechRecognition ?? globalThis.webkitSpeechRecognition);
}

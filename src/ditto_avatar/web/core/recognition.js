/** The browser's own speech recognition, for a server that has none. */

const TAGS = { en: "en-US", ko: "ko-KR" };

export class Recognition {
  #recognition = null;

  /** Listens until `stop`; `continuous` goes on after each utterance. What was said before `stop`
   * is still told after it, an error as well.
   * @param handlers {onVoice(timeStamp), onInterim(text), onFinal(text), onError(code),
   * onNothing(), onEnd()}: `onNothing` when one that is not continuous ended without a word,
   * `onEnd` when it ended by itself, or after an error */
  start({ language, continuous }, { onVoice, onInterim, onFinal, onError, onNothing, onEnd }) {
    const Engine = globalThis.SpeechRecognition ?? globalThis.webkitSpeechRecognition;
    const recognition = Object.assign(new Engine(), {
      lang: TAGS[language],
      interimResults: true,
      continuous,
    });
    let failed = false;
    let heard = false;
    recognition.onspeechstart = ({ timeStamp }) => onVoice(timeStamp);
    recognition.onresult = ({ results, resultIndex }) => {
      const news = [...results].slice(resultIndex);
      heard = true;
      for (const result of news.filter(({ isFinal }) => isFinal)) onFinal(result[0].transcript.trim());
      const interim = news.filter(({ isFinal }) => !isFinal).map((result) => result[0].transcript);
      if (interim.length) onInterim(interim.join("").trim());
    };
    recognition.onerror = ({ error }) => {
      // A silence is no failure, and neither is being stopped.
      if (error === "no-speech" || error === "aborted") return;
      failed = true;
      onError(error);
    };
    recognition.onend = () => {
      if (!continuous && !heard && !failed) onNothing();
      // One that was stopped has nothing to say about its successor.
      if (this.#recognition !== recognition) return;
      // It ends by itself after a silence; hands-free means going on.
      if (continuous && !failed) return recognition.start();
      this.#recognition = null;
      onEnd();
    };
    this.#recognition = recognition;
    recognition.start();
  }

  stop() {
    const recognition = this.#recognition;
    this.#recognition = null;
    recognition?.stop();
  }
}

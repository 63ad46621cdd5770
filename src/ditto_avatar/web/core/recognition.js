/** The browser's own speech recognition, for a server that has none. */

const TAGS = { en: "en-US", ko: "ko-KR" };
const ECHO_SHARE = 0.6;

export class Recognition {
  #recognition = null;

  static get available() {
    return Boolean(globalThis.SpeechRecognition ?? globalThis.webkitSpeechRecognition);
  }

  /** Listens until `stop`; `continuous` goes on after each utterance.
   * @param handlers {onInterim(text), onFinal(text), onError(code), onEnd()} */
  start({ language, continuous }, { onInterim, onFinal, onError, onEnd }) {
    const Engine = globalThis.SpeechRecognition ?? globalThis.webkitSpeechRecognition;
    const recognition = Object.assign(new Engine(), {
      lang: TAGS[language],
      interimResults: true,
      continuous,
    });
    recognition.onresult = ({ results, resultIndex }) => {
      for (const result of [...results].slice(resultIndex)) {
        const text = result[0].transcript.trim();
        if (result.isFinal) onFinal(text);
        else onInterim(text);
      }
    };
    recognition.onerror = ({ error }) => onError(error);
    recognition.onend = () => {
      // It ends by itself after a silence; hands-free means going on.
      if (continuous && this.#recognition === recognition) recognition.start();
      else onEnd();
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

/** Whether what was heard is most likely the presenter's own voice: most of its words have just
 * been spoken. */
export function isEcho(heard, spoken) {
  const words = (text) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  const said = new Set(words(spoken));
  const theirs = words(heard);
  if (theirs.length === 0) return true;
  return theirs.filter((word) => said.has(word)).length / theirs.length >= ECHO_SHARE;
}

/** The microphone as blocks of 16 kHz signed 16-bit mono samples. */

const RATE_HZ = 16_000;
const WORKLET = new URL("./pcm-worklet.js", import.meta.url);
// So that the presenter's own voice from the loudspeaker is not taken for the person's.
const CONSTRAINTS = {
  audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 },
};

export class Microphone {
  #stream = null;
  #context = null;

  /** Opens the microphone, calls `onopen()` once and then `onblock(ArrayBuffer)` every 40 ms.
   * Rejects as getUserMedia does: NotAllowedError, NotFoundError. */
  async start({ onopen, onblock }) {
    this.#stream = await navigator.mediaDevices.getUserMedia(CONSTRAINTS);
    try {
      const [source, node] = await this.#prepare();
      node.port.onmessage = ({ data }) => onblock(data);
      onopen();
      source.connect(node);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** What the microphone hears, before it is cut into blocks; null while it is off. */
  get track() {
    return this.#stream?.getAudioTracks()[0] ?? null;
  }

  async stop() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
    const context = this.#context;
    this.#context = null;
    await context?.close();
  }

  async #prepare() {
    this.#context = new AudioContext({ sampleRate: RATE_HZ });
    let source;
    try {
      source = this.#context.createMediaStreamSource(this.#stream);
    } catch {
      // Some browsers refuse a context of another rate than the microphone's: the worklet resamples.
      await this.#context.close();
      this.#context = new AudioContext();
      source = this.#context.createMediaStreamSource(this.#stream);
    }
    await this.#context.audioWorklet.addModule(WORKLET);
    const node = new AudioWorkletNode(this.#context, "pcm", { numberOfOutputs: 0 });
    await this.#context.resume();
    return [source, node];
  }
}

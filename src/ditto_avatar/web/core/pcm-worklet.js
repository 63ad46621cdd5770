/**
 * Runs in the audio thread: the microphone's samples, brought to 16 kHz where the context runs
 * at another rate, as signed 16-bit blocks of 40 ms.
 */
const RATE_HZ = 16_000;
const BLOCK_SAMPLES = 640;
// Half the length of the low-pass, in samples of the target rate.
const REACH = 8;

/** A Hann-windowed sinc at `ratio` = source rate / target rate. Keeps what it needs of the past. */
export class Resampler {
  #ratio;
  #tail = new Float32Array(0);
  #position;

  constructor(ratio) {
    this.#ratio = ratio;
    this.#position = REACH * ratio;
    this.#tail = new Float32Array(Math.ceil(REACH * ratio));
  }

  /** Float32 samples at the source rate in, an array at the target rate out. */
  push(samples) {
    if (this.#ratio === 1) return samples;
    const input = new Float32Array(this.#tail.length + samples.length);
    input.set(this.#tail);
    input.set(samples, this.#tail.length);
    const reach = REACH * this.#ratio;
    const output = [];
    for (; this.#position + reach < input.length; this.#position += this.#ratio) {
      output.push(this.#at(input, this.#position, reach));
    }
    const keep = Math.max(0, Math.floor(this.#position - reach));
    this.#tail = input.slice(keep);
    this.#position -= keep;
    return output;
  }

  #at(input, position, reach) {
    let sum = 0;
    let weights = 0;
    for (let i = Math.ceil(position - reach); i < position + reach; i++) {
      const x = (i - position) / this.#ratio;
      const sinc = x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
      const weight = sinc * (0.5 + 0.5 * Math.cos((Math.PI * x) / REACH));
      sum += weight * (input[i] ?? 0);
      weights += weight;
    }
    return sum / weights;
  }
}

/** A sample in -1..1 as a signed 16-bit number. */
export function toInt16(sample) {
  const clipped = Math.max(-1, Math.min(1, sample));
  return Math.round(clipped < 0 ? clipped * 32768 : clipped * 32767);
}

if (globalThis.AudioWorkletProcessor) {
  class Pcm extends AudioWorkletProcessor {
    #resampler = new Resampler(sampleRate / RATE_HZ);
    #block = new Int16Array(BLOCK_SAMPLES);
    #filled = 0;

    process([input]) {
      const [samples] = input;
      if (!samples) return true;
      for (const sample of this.#resampler.push(samples)) {
        this.#block[this.#filled++] = toInt16(sample);
        if (this.#filled === BLOCK_SAMPLES) this.#send();
      }
      return true;
    }

    #send() {
      this.port.postMessage(this.#block.buffer, [this.#block.buffer]);
      this.#block = new Int16Array(BLOCK_SAMPLES);
      this.#filled = 0;
    }
  }
  registerProcessor("pcm", Pcm);
}

/**
 * Watches the stage as an eye would: for every frame of the screen it draws what the stacked
 * layers show together and notes the pose (the row of blocks of `PageServer`'s pictures), how
 * loud it is, and whether there was a picture at all. `sampler.start()`, `sampler.samples`.
 */
(() => {
  const WIDTH = 128;
  const HEIGHT = 160;
  const BITS = 7;
  const canvas = new OffscreenCanvas(WIDTH, HEIGHT);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const samples = [];
  const hearing = new Map();
  const kept = new Map();
  let watching = false;

  function layers() {
    const videos = [...stage.shadowRoot.querySelectorAll("video")];
    return videos
      .map((video, order) => ({ video, order, z: Number(video.style.zIndex || 0) }))
      .sort((a, b) => a.z - b.z || a.order - b.order)
      .map(({ video }) => video);
  }

  // While a video seeks, as at the seam of a loop, the screen keeps its last picture, but a canvas
  // gets none.
  function pictureOf(video) {
    if (video.readyState >= 2) {
      const copy = kept.get(video)?.copy ?? new OffscreenCanvas(WIDTH, HEIGHT);
      copy.getContext("2d").drawImage(video, 0, 0, WIDTH, HEIGHT);
      kept.set(video, { copy, source: video.currentSrc });
      return copy;
    }
    const last = kept.get(video);
    return video.seeking && last?.source === video.currentSrc ? last.copy : null;
  }

  function look() {
    context.clearRect(0, 0, WIDTH, HEIGHT);
    for (const video of layers()) {
      context.globalAlpha = Number(getComputedStyle(video).opacity);
      const picture = pictureOf(video);
      if (picture) context.drawImage(picture, 0, 0, WIDTH, HEIGHT);
    }
    const { data } = context.getImageData(0, 0, WIDTH, HEIGHT);
    const grey = (x, y) => data[4 * (y * WIDTH + x) + 1];
    const alpha = data[4 * (HEIGHT / 2) * WIDTH + 4 * (WIDTH / 2) + 3];
    let pose = 0;
    for (let bit = 0; bit < BITS; bit++) if (grey(16 + 16 * bit, 12) > 128) pose |= 1 << bit;
    let sum = 0;
    for (let i = 1; i < data.length; i += 4 * 7) sum += data[i];
    return { pose, blank: alpha < 250, light: sum / (data.length / 28) };
  }

  function loudness() {
    let loudest = 0;
    for (const video of layers()) {
      if (!video.currentSrc || video.muted || video.loop || video.paused) continue;
      if (!hearing.has(video)) hearing.set(video, listen(video));
      const { analyser, wave } = hearing.get(video);
      analyser.getFloatTimeDomainData(wave);
      loudest = Math.max(loudest, Math.sqrt(wave.reduce((sum, x) => sum + x * x, 0) / wave.length));
    }
    return loudest;
  }

  function listen(video) {
    const audio = (listen.context ??= new AudioContext());
    const analyser = audio.createAnalyser();
    audio.createMediaElementSource(video).connect(analyser).connect(audio.destination);
    return { analyser, wave: new Float32Array(analyser.fftSize) };
  }

  function sample() {
    if (!watching) return;
    const { phase } = document.getElementById("stage").dataset;
    const loud = sampler.hears ? loudness() : 0;
    samples.push({ t: performance.now(), phase, loud, ...look() });
    requestAnimationFrame(sample);
  }

  const sampler = {
    samples,
    hears: false,
    start({ hears = false } = {}) {
      sampler.hears = hears;
      samples.length = 0;
      watching = true;
      requestAnimationFrame(sample);
    },
    stop() {
      watching = false;
      return samples;
    },
  };
  globalThis.sampler = sampler;
})();

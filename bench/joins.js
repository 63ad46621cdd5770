// Watches the stage frame by frame, as it is composed from the layers, and notes how much each
// picture differs from the one before and which video lay on top. `joins.start()`, `joins.stop()`.
(() => {
  const WIDTH = 128;
  const HEIGHT = 160;
  const canvas = new OffscreenCanvas(WIDTH, HEIGHT);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let last = null;
  let running = false;
  let samples = [];

  function layers() {
    return [...stage.shadowRoot.querySelectorAll("video")]
      .map((video, order) => ({ video, order, z: Number(video.style.zIndex || 0) }))
      .sort((a, b) => a.z - b.z || a.order - b.order);
  }

  function look() {
    if (!running) return;
    const stack = layers().filter(({ video }) => video.readyState >= 2);
    const idle_seconds = stack.find(({ video }) => video.loop)?.video.currentTime ?? 0;
    const opacities = stack.map(({ video }) => Number(getComputedStyle(video).opacity));
    // What an opaque layer hides is not drawn: who looks should not slow down what is seen.
    for (let i = Math.max(0, opacities.lastIndexOf(1)); i < stack.length; i++) {
      context.globalAlpha = opacities[i];
      context.drawImage(stack[i].video, 0, 0, WIDTH, HEIGHT);
    }
    const { data } = context.getImageData(0, 0, WIDTH, HEIGHT);
    const top = stack.at(-1);
    if (last) {
      let sum = 0;
      for (let i = 1; i < data.length; i += 4) sum += Math.abs(data[i] - last.data[i]);
      const difference = sum / (data.length / 4);
      // The screen refreshes more often than the video: equal pictures are no samples.
      if (difference > 0 || top.order !== last.order) {
        const fading = top.video.getAnimations().length > 0;
        const join = top.order !== last.order;
        samples.push({ difference, join, fading, idle: top.video.loop, idle_seconds });
      }
    }
    last = { data, order: top.order, fading: top.video.getAnimations().length > 0 };
    requestAnimationFrame(look);
  }

  window.joins = {
    start() {
      samples = [];
      last = null;
      running = true;
      requestAnimationFrame(look);
    },
    stop() {
      running = false;
      return samples;
    },
  };
})();

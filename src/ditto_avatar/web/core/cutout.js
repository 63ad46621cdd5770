/**
 * Shows packed films without their background: colours in the upper half, their opacity in the lower
 * half. Draws what a stack of video elements shows into a canvas, by WebGL; the
 * elements themselves are kept out of sight, with the order and opacity that the player gives them.
 */

const VERTICES = `
  attribute vec2 place;
  varying vec2 at;
  void main() {
    at = vec2(place.x, 1.0 - place.y) * vec2(1.0, 0.5);
    gl_Position = vec4(place * 2.0 - 1.0, 0.0, 1.0);
  }`;
// Neither half is read across the line between them.
const PIXELS = `
  precision mediump float;
  varying vec2 at;
  uniform sampler2D picture;
  void main() {
    vec2 above = vec2(at.x, min(at.y, 0.4995));
    float opacity = texture2D(picture, vec2(at.x, max(at.y + 0.5, 0.5005))).r;
    gl_FragColor = vec4(texture2D(picture, above).rgb * opacity, opacity);
  }`;
const HAVE_CURRENT_DATA = 2;

export class CutoutStage {
  #canvas;
  #videos;
  #gl = null;
  #textures = new Map();
  #request = null;
  #shown = "";

  /** Draws `videos` into `canvas` from now on. Throws where there is no WebGL. */
  constructor(canvas, videos) {
    this.#canvas = canvas;
    this.#videos = videos;
    this.#prepare();
    canvas.addEventListener("webglcontextlost", this.#lost);
    canvas.addEventListener("webglcontextrestored", this.#restored);
    this.#request = requestAnimationFrame(this.#frame);
  }

  close() {
    cancelAnimationFrame(this.#request);
    this.#canvas.removeEventListener("webglcontextlost", this.#lost);
    this.#canvas.removeEventListener("webglcontextrestored", this.#restored);
    // A page may have few contexts: this one is given back at once.
    this.#gl.getExtension("WEBGL_lose_context")?.loseContext();
  }

  #lost = (event) => event.preventDefault();

  #restored = () => this.#prepare();

  #frame = () => {
    this.#request = requestAnimationFrame(this.#frame);
    if (!this.#gl.isContextLost()) this.#draw(layersOf(this.#videos));
  };

  #prepare() {
    const gl = this.#canvas.getContext("webgl", { alpha: true, premultipliedAlpha: true, antialias: false });
    if (!gl) throw new Error("There is no WebGL.");
    this.#gl = gl;
    this.#textures.clear();
    this.#shown = "";
    const program = gl.createProgram();
    for (const [type, source] of [[gl.VERTEX_SHADER, VERTICES], [gl.FRAGMENT_SHADER, PIXELS]]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([0, 0, 1, 0, 0, 1, 1, 1]), gl.STATIC_DRAW);
    const place = gl.getAttribLocation(program, "place");
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, 2, gl.FLOAT, false, 0, 0);
    gl.enable(gl.BLEND);
    // A layer that comes takes the place of those below it by as much as it is seen.
    gl.blendFunc(gl.CONSTANT_ALPHA, gl.ONE_MINUS_CONSTANT_ALPHA);
  }

  #draw(layers) {
    // Nothing is drawn while nothing has changed.
    const shown = layers.map(({ video, opacity }) => `${video.src} ${video.currentTime} ${opacity}`).join();
    if (shown === this.#shown) return;
    this.#shown = shown;
    const gl = this.#gl;
    this.#fit(layers);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    for (const { video, opacity } of layers) {
      gl.bindTexture(gl.TEXTURE_2D, this.#texture(video));
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, gl.RGB, gl.UNSIGNED_BYTE, video);
      gl.blendColor(0, 0, 0, opacity);
      gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    }
  }

  #fit(layers) {
    const video = layers.at(-1)?.video;
    if (!video) return;
    const [width, height] = [video.videoWidth, video.videoHeight / 2];
    if (this.#canvas.width === width && this.#canvas.height === height) return;
    Object.assign(this.#canvas, { width, height });
    this.#gl.viewport(0, 0, width, height);
  }

  #texture(video) {
    const gl = this.#gl;
    const known = this.#textures.get(video);
    if (known) return known;
    const texture = gl.createTexture();
    this.#textures.set(video, texture);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    for (const [name, value] of [
      [gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE],
      [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE],
      [gl.TEXTURE_MIN_FILTER, gl.LINEAR],
    ]) {
      gl.texParameteri(gl.TEXTURE_2D, name, value);
    }
    return texture;
  }
}

/** What is seen of the stack, the lowest first: nothing below a layer that is seen fully. A layer
 * that was never raised waits for its turn. */
export function layersOf(videos, style = getComputedStyle) {
  const raised = videos
    .filter((video) => video.readyState >= HAVE_CURRENT_DATA && Number(video.style.zIndex) > 0)
    .sort((one, other) => one.style.zIndex - other.style.zIndex)
    .map((video) => ({ video, opacity: Number(style(video).opacity) }));
  const full = raised.findLastIndex(({ opacity }) => opacity >= 1);
  return raised.slice(Math.max(0, full)).filter(({ opacity }) => opacity > 0);
}

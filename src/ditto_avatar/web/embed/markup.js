/** What is inside the element's shadow root: its parts and how they look. */

export const MARKUP = `
  <button class="toggle" part="toggle" type="button" aria-expanded="false"><img class="poster" alt=""></button>
  <div class="panel" part="panel" tabindex="-1">
    <section class="stage" part="stage">
      <img class="poster" alt="">
      <canvas aria-hidden="true"></canvas>
      <div class="layers">
        <video muted playsinline tabindex="-1" aria-hidden="true"></video>
        <video muted playsinline tabindex="-1" aria-hidden="true"></video>
        <video muted playsinline tabindex="-1" aria-hidden="true"></video>
      </div>
      <div class="over">
        <p class="row">
          <span class="pill" part="status" role="status"></span>
          <span class="pill label" part="label"></span>
          <button class="mute" part="button" type="button"><svg viewBox="0 0 24 24" aria-hidden="true"><path d="M4 9.5v5h3.5L12 18.5v-13L7.5 9.5z"/><path class="on" d="M15.5 9a4 4 0 0 1 0 6"/><path class="off" d="m16 9.5 5 5m0-5-5 5"/></svg></button>
        </p>
        <button class="start" part="button" type="button" hidden></button>
        <button class="unmute" part="button" type="button" hidden></button>
        <slot name="captions"><p class="caption" part="caption" aria-live="polite" aria-atomic="true"></p></slot>
      </div>
    </section>
    <div class="talk" part="talk">
      <div class="log" part="log" role="log" tabindex="0"><ol></ol></div>
      <p class="notice" part="notice" role="alert"></p>
      <slot name="controls">
        <form part="controls">
          <button class="microphone" part="button" type="button" hidden><svg viewBox="0 0 24 24" aria-hidden="true"><rect x="9" y="3.5" width="6" height="11" rx="3"/><path d="M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3"/></svg></button>
          <input part="field" maxlength="4000" enterkeyhint="send" autocomplete="off">
          <button class="interrupt" part="button" type="button" hidden><svg viewBox="0 0 24 24" aria-hidden="true"><rect x="7" y="7" width="10" height="10" rx="2.5"/></svg></button>
          <button class="send" part="button" type="submit"><svg viewBox="0 0 24 24" aria-hidden="true"><path d="M12 19V5M5.5 11.5 12 5l6.5 6.5"/></svg></button>
        </form>
      </slot>
    </div>
  </div>`;

const STYLES = `
  :host { display: block; width: 100%; max-width: 26rem; color-scheme: light dark;
    --ink: light-dark(#1d1e20, #f0efec); --ground: light-dark(#fff, #1f2023);
    --line: light-dark(#dddad3, #45474c); --accent: light-dark(#0f766e, #3cc4b4);
    --on-accent: light-dark(#fff, #06201d); --tint: light-dark(#dcefec, #17423d);
    --warn: light-dark(#8a4b08, #f3c88b);
    font: 16px/1.5 system-ui, "Apple SD Gothic Neo", "Noto Sans KR", "Noto Sans CJK KR", sans-serif;
    color: var(--ink); text-align: start; }
  :host([hidden]), [hidden] { display: none !important; }
  *, *::before, *::after { box-sizing: border-box; }
  p, ol { margin: 0; padding: 0; list-style: none; }
  button, input { font: inherit; color: inherit; min-width: 0; }
  button { border: 0; border-radius: 22px; cursor: pointer; min-width: 44px; min-height: 44px;
    padding: 0; background: var(--tint); }
  :focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
  .panel:focus { outline: none; }
  svg { width: 24px; height: 24px; fill: none; stroke: currentColor; stroke-width: 2;
    stroke-linecap: round; stroke-linejoin: round; vertical-align: middle; }
  .panel { display: flex; flex-direction: column; overflow: hidden; border-radius: 20px;
    border: 1px solid var(--line); }
  .stage { position: relative; isolation: isolate; overflow: hidden;
    aspect-ratio: var(--ratio, 1); background: var(--background, #888); }
  .stage > img, video, canvas, .layers { position: absolute; inset: 0; width: 100%; height: 100%;
    object-fit: cover; object-position: 50% 20%; }
  .layers { isolation: isolate; }
  /* Packed films are drawn into the canvas; the player goes on with the elements. */
  .cutout .layers { opacity: 0; }
  .cutout > img, :not(.cutout) > canvas { display: none; }
  img:not([src]) { visibility: hidden; }
  .over { position: absolute; inset: 0; z-index: 2147483647; padding: 12px; display: flex;
    flex-direction: column; align-items: center; justify-content: flex-end; gap: 8px;
    pointer-events: none; }
  .over > * { max-width: 100%; }
  .over button { pointer-events: auto; }
  .row { position: absolute; inset: 12px 12px auto; display: flex; gap: 6px; align-items: center; }
  .pill, .caption, .row button { background: rgb(12 13 15 / 78%); color: #fff; }
  .pill { border-radius: 14px; padding: 2px 10px; font-size: 13px; white-space: nowrap;
    overflow: hidden; text-overflow: ellipsis; }
  .label { flex: none; }
  [part="status"]::before { content: ""; display: inline-block; width: 9px; height: 9px;
    margin-inline-end: 7px; border-radius: 50%; background: #b9bcc2; }
  :is([data-phase="ready"], [data-phase="speaking"], [data-phase="listening"])
    [part="status"]::before { background: #58d6a4; }
  :is([data-phase="thinking"], [data-phase="queued"]) [part="status"]::before { background: #f2c14e; }
  :is([data-phase="waiting"], [data-phase="closed"]) [part="status"]::before { background: #f08a5d; }
  @media (prefers-reduced-motion: no-preference) {
    :is([data-phase="speaking"], [data-phase="listening"], [data-phase="thinking"],
      [data-phase="queued"]) [part="status"]::before { animation: pulse 1.2s ease-in-out infinite; }
  }
  @keyframes pulse { 50% { opacity: 0.35; transform: scale(0.8); } }
  .row button { margin-inline-start: auto; flex: none; }
  .mute[aria-pressed="true"] .on, .mute[aria-pressed="false"] .off { display: none; }
  .caption { border-radius: 12px; padding: 6px 12px; overflow-wrap: anywhere; }
  .caption:empty, .notice:empty, .log:has(ol:empty) { display: none; }
  .start, .unmute { padding: 0 20px; background: var(--accent); color: var(--on-accent); }
  .talk { display: flex; flex-direction: column; min-height: 0; background: var(--ground); }
  .log { max-height: 14rem; overflow-y: auto; padding: 12px; }
  ol { display: flex; flex-direction: column; gap: 8px; }
  .log li { border-radius: 14px; padding: 6px 12px; align-self: start; overflow-wrap: anywhere; }
  .log .user { align-self: end; background: var(--tint); }
  .notice { padding: 4px 12px; color: var(--warn); }
  form { display: flex; gap: 8px; padding: 12px; }
  input { flex: 1; border: 1px solid var(--line); border-radius: 22px; padding: 0 16px;
    background: transparent; }
  .send, [aria-pressed="true"].microphone { background: var(--accent); color: var(--on-accent); }
  .toggle { display: none; }
  :host([display="face"]) .talk { display: none; }
  :host([display="face"]) .panel { border: 0; }
  :host([display="floating"]) { position: fixed; z-index: 2147483000; width: auto;
    inset: auto max(16px, env(safe-area-inset-right)) max(16px, env(safe-area-inset-bottom)) auto; }
  :host([display="floating"]) .toggle { display: block; width: 72px; height: 72px; overflow: hidden;
    border-radius: 50%; margin-inline-start: auto; border: 3px solid var(--accent); }
  .toggle img { width: 100%; height: 100%; object-fit: cover; }
  :host([display="floating"]) .panel { width: min(22rem, calc(100vw - 32px)); margin-bottom: 12px;
    max-height: calc(100dvh - 130px); overflow-y: auto; box-shadow: 0 12px 40px rgb(0 0 0 / 35%); }
  :host([display="floating"]) .toggle[aria-expanded="false"] + .panel { display: none; }
  :host([display="floating"]) { display: flex; flex-direction: column-reverse; }
  @media (forced-colors: active) { button, .panel { border: 1px solid; } }
`;

let sheet = null;

/** The style sheet that all elements of a page share. Made by a script, because a page's policy
 * may forbid styles in the markup. */
export function styleSheet() {
  if (sheet === null) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLES);
  }
  return sheet;
}

/** Loads the page anew while its script does not come, as in a network that fails for a moment. */
const RELOAD_MS = 15_000;

setTimeout(() => {
  if (!document.body.classList.contains("running")) location.reload();
}, RELOAD_MS);

/** Time as the core sees it; tests bring their own. Milliseconds. */
export const systemClock = {
  now: () => performance.now(),
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};

/** Resolves to `fallback` when `promise` has not settled after `ms`. */
export function within(clock, ms, promise, fallback = undefined) {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimeout(() => resolve(fallback), ms);
    promise.then(
      (value) => {
        clock.clearTimeout(timer);
        resolve(value);
      },
      (error) => {
        clock.clearTimeout(timer);
        reject(error);
      },
    );
  });
}

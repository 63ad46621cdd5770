/** Takes the join token out of the address (`/#join=…`). It is removed there at once, so that it is
 * neither shown, nor bookmarked, nor sent on with the address; a fragment never reaches a server. */
export function takeJoinToken() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const token = fragment.get("join");
  if (token !== null) history.replaceState(history.state, "", location.pathname + location.search);
  return token;
}

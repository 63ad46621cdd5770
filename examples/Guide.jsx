// The presenter as a React component: <Guide server="https://avatar.example.org" token={token} />
import { useEffect, useRef } from "react";

export function Guide({ server, token, onSpeaking }) {
  const guide = useRef(null);
  useEffect(() => {
    import(/* webpackIgnore: true */ /* @vite-ignore */ `${server}/embed.js`);
  }, [server]);
  useEffect(() => {
    const element = guide.current;
    const speaking = ({ detail }) => onSpeaking?.(detail.text);
    element.addEventListener("speaking", speaking);
    return () => element.removeEventListener("speaking", speaking);
  }, [onSpeaking]);
  return <ditto-avatar ref={guide} server={server} token={token} display="face" />;
}

import { render } from "preact";
import { App } from "./app";
import type { Channel, Event } from "./messages";
import { createState } from "./state";

const GONE = "the server is gone: it ended, or cannot be reached; trying again …";

/** Why a WebSocket was refused: browsers do not tell. */
const whyNot = async (): Promise<string> => {
  try {
    const answer = await fetch(`knock.json${location.search}`, { cache: "no-store" });
    if (answer.ok) return "the server answers, but its WebSocket does not: does a proxy in between let those through?";
    const text = (await answer.text()).trim();
    return answer.status === 401
      ? `the server does not let this page in: ${location.search.includes("token=") ? "another token is right" : text}; `
        + "the address that the explorer printed has the right one"
      : `the server does not let this page in: ${text || answer.status}`;
  } catch {
    return GONE;
  }
};

/** What the browser keeps for this tab, where it keeps anything. */
const store = (() => { try { return window.sessionStorage; } catch { return null; } })();

const socketChannel = (): Channel => {
  let socket: WebSocket | null = null;
  return {
    send: (request) => { if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(request)); },
    listen: (take, state) => {
      const connect = () => {
        const scheme = location.protocol === "https:" ? "wss" : "ws";
        const mine = socket = new WebSocket(`${scheme}://${location.host}/${location.search}`);
        let opened = false;
        mine.onopen = () => { opened = true; state(true, ""); };
        mine.onmessage = (message) => take(JSON.parse(message.data as string) as Event);
        mine.onclose = async () => {
          state(false, opened ? GONE : await whyNot());
          setTimeout(connect, 1500);
        };
      };
      connect();
    },
  };
};

const app = document.getElementById("app");
if (app) render(<App state={createState(socketChannel(), store)} />, app);

import { render } from "preact";
import { App } from "./app";
import type { Channel, Event } from "./messages";
import { createState } from "./state";

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
        mine.onclose = () => {
          const refused = !opened && !location.search.includes("token=");
          state(false, refused
            ? "no connection; a server with a token wants ?token=… in the address"
            : "the server is gone; trying again …");
          setTimeout(connect, 1500);
        };
      };
      connect();
    },
  };
};

const app = document.getElementById("app");
if (app) render(<App state={createState(socketChannel())} />, app);

// The same explorer inside a notebook: messages travel over the notebook's own connection to its kernel.

import { render } from "preact";
import { App } from "./app";
import type { Channel, Event } from "./messages";
import { createState } from "./state";

interface Model {
  send(content: unknown): void;
  on(name: "msg:custom", take: (content: Event) => void): void;
  off(name: "msg:custom", take: (content: Event) => void): void;
}

export default {
  render({ model, el }: { model: Model; el: HTMLElement }) {
    let stop = () => {};
    const channel: Channel = {
      send: (request) => model.send(request),
      listen: (take, state) => {
        model.on("msg:custom", take);
        stop = () => model.off("msg:custom", take);
        state(true, "");
        model.send({ type: "hello" });
      },
    };
    render(<App state={createState(channel)} keys={false} />, el);
    return () => { stop(); render(null, el); };
  },
};

// What the explorer knows, and what happens to it.

import { batch, computed, effect, signal } from "@preact/signals";
import type { Channel, Control, Event, Factors, Picture, Pinned, Point, Reading, Ready, Request, Shared, Value }
  from "./messages";

export interface Shot { factors: Factors; image: string; number: number }

/** What a page keeps over a reload. */
interface Kept { engine: string; shots: Shot[]; undone: { past: Factors[]; future: Factors[] } }

const MOST_SHOTS = 60;
const MOST_UNDONE = 200;
const MOST_CAPTIONS = 64;
const CAPTION = 200; // characters
const KEPT = "torchmultiverse-explorer";

const same = (one: Factors, other: Factors) => {
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name]);
};

/** The state of a page. `store` keeps what was looked at, and what can be undone, over a reload. */
export const createState = (channel: Channel, store: Storage | null = null) => {
  const ready = signal<Ready | null>(null);
  const connected = signal(false);
  const why = signal("");
  const factors = signal<Factors>({});
  const picture = signal<Picture | null>(null);
  const readings = signal<Reading[]>([]);
  const reference = signal<Reading[]>([]);
  const pinned = signal<Pinned | null>(null);
  const shots = signal<Shot[]>([]);
  const busy = signal("");
  const waiting = signal(false);
  const problem = signal("");
  const notice = signal("");
  const said = signal("");
  const note = signal("");
  const captions = signal(""); // as they are written, one in each line
  const points = signal<Point[]>([]);
  const swept = signal("");
  const running = signal<"" | "sweep" | "search">("");
  const progress = signal<Point | null>(null);
  const best = signal<Point | null>(null);
  const outcome = signal("");
  const shared = signal<Shared | null>(null);
  const undone = signal<{ past: Factors[]; future: Factors[] }>({ past: [], future: [] });
  let number = 0;
  let dragging: string | null = null;
  let good: Factors | null = null; // what was shown last, to go back to when something is refused

  const send = (request: Request) => channel.send(request);

  const recall = (engine: string) => {
    try {
      const kept = JSON.parse(store?.getItem(KEPT) ?? "null") as Kept | null;
      if (kept?.engine !== engine) return;
      shots.value = kept.shots;
      undone.value = kept.undone;
    } catch { /* what an older page kept is no loss */ }
  };

  effect(() => {
    const kept = { engine: ready.value?.engine ?? "", shots: shots.value, undone: undone.value };
    if (!store || !kept.engine) return;
    try { store.setItem(KEPT, JSON.stringify(kept)); } catch { /* there is no room: a reload forgets */ }
  });

  const look = (told = false) => {
    number = Math.max(number + 1, Date.now()); // later than all that other pages, and this one before, asked for
    waiting.value = true;
    if (!told) problem.value = notice.value = "";
    send({ type: "look", number, factors: factors.value });
  };

  /** Shows other factors. Steps of one drag are one step back. */
  const show = (next: Factors, drag: string | null = null) => {
    batch(() => {
      if (drag === null || drag !== dragging) {
        undone.value = { past: [...undone.value.past, factors.value].slice(-MOST_UNDONE), future: [] };
      }
      dragging = drag;
      factors.value = next;
      look();
    });
  };

  const set = (control: Control, value: Value | null, drag = false) => {
    const next = { ...factors.value };
    if (value === null || value === control.default) delete next[control.factor];
    else next[control.factor] = value;
    show(next, drag ? control.factor : null);
  };

  /** Shows what another page of this explorer asked for: a picture with a later number than all of ours. */
  const follow = (event: Picture) => {
    if (event.number <= number) return;
    number = event.number;
    if (same(event.factors, factors.value)) return;
    undone.value = { past: [...undone.value.past, factors.value].slice(-MOST_UNDONE), future: [] };
    dragging = null;
    factors.value = event.factors;
    notice.value = "The scene was changed by another page that is open.";
  };

  const settle = () => { dragging = null; };

  const step = (from: "past" | "future", to: "past" | "future") => {
    const rest = [...undone.value[from]];
    const next = rest.pop();
    if (!next) return;
    undone.value = { ...undone.value, [from]: rest, [to]: [...undone.value[to], factors.value] };
    dragging = null;
    factors.value = next;
    look();
  };

  const take = (event: Event) => batch(() => {
    switch (event.type) {
      case "ready": {
        const first = ready.value === null;
        if (first) recall(event.engine);
        ready.value = event;
        busy.value = "";
        if (first) {
          factors.value = event.factors;
          captions.value = event.captions.join("\n");
        }
        if (!first || !event.shown) look(true); // an engine that came back says nothing of why it had gone
        break;
      }
      case "picture":
        if (picture.value && event.number < picture.value.number) break;
        follow(event);
        picture.value = event;
        busy.value = "";
        waiting.value = event.stage !== "final";
        if (event.stage === "final") {
          if (event.number === number) good = factors.value;
          said.value = `Picture in ${(event.milliseconds / 1000).toFixed(1)} seconds`;
        }
        break;
      case "readings":
        if (event.number !== 0 && picture.value && event.number < picture.value.number) break;
        readings.value = event.readings;
        reference.value = event.reference;
        if (event.number === 0) captions.value = event.captions.join("\n");
        if (picture.value && event.number === picture.value.number) {
          const shot = { factors: picture.value.factors, image: picture.value.small ?? picture.value.image,
            number: event.number };
          const last = shots.value.at(-1);
          const before = last && same(last.factors, shot.factors) ? shots.value.slice(0, -1) : shots.value;
          if (event.number === number) shots.value = [...before, shot].slice(-MOST_SHOTS);
          const first = event.readings[0];
          if (first?.top[0]) {
            said.value = `${first.model}: ${first.top[0].text}, ${Math.round(first.top[0].probability * 100)} percent`;
          }
        }
        break;
      case "pinned":
        pinned.value = event;
        reference.value = event.readings;
        said.value = "Pinned as the reference";
        break;
      case "point":
        progress.value = event;
        if (running.value !== event.of) { // of another page
          running.value = event.of;
          outcome.value = "";
        }
        if (event.of === "sweep") {
          const point = { ...event, problem: spoken(event.problem, ready.value?.controls ?? []) };
          points.value = [...(event.done === 1 ? [] : points.value), point];
          swept.value = event.factor;
        }
        else if (event.image) best.value = event;
        break;
      case "done":
        running.value = "";
        progress.value = null;
        outcome.value = event.text;
        said.value = event.text || `${event.of} finished`;
        break;
      case "shared":
        shared.value = event;
        break;
      case "opened":
        note.value = event.note;
        problem.value = [
          event.missing.length ? `models of the finding that are not here: ${event.missing.join(", ")}` : "",
          event.same_engine ? "" : "the finding is from another engine: its picture may differ",
        ].filter(Boolean).join("; ");
        undone.value = { past: [...undone.value.past, factors.value], future: [] };
        factors.value = event.factors;
        look(true);
        break;
      case "busy":
        busy.value = event.text;
        break;
      case "notice":
        notice.value = event.text;
        break;
      case "problem":
        problem.value = spoken(event.text, ready.value?.controls ?? []);
        busy.value = "";
        if (event.number !== null || event.lasting) waiting.value = false;
        if (event.number === number && !event.again && good) factors.value = good;
        running.value = "";
        progress.value = null;
        break;
    }
  });

  channel.listen(take, (now, reason) => batch(() => {
    connected.value = now;
    why.value = reason;
    if (!now) waiting.value = false;
  }));

  return {
    ready, connected, why, factors, picture, readings, reference, pinned, shots, busy, waiting, problem, notice, said, note,
    captions, points, swept, running, progress, best, outcome, shared, undone,
    canUndo: computed(() => undone.value.past.length > 0),
    canRedo: computed(() => undone.value.future.length > 0),
    show, set, settle,
    /** Says what is wrong with what was written in a place; "" once it is right. */
    tell: (place: string) => (text: string) => { problem.value = text && `${place}${text}`; },
    undo: () => step("past", "future"),
    redo: () => step("future", "past"),
    pin: () => send({ type: "pin" }),
    ask: () => {
      const lines = captions.value.split("\n").map((line) => line.trim().replace(/\s+/g, " ")).filter(Boolean);
      const texts = [...new Set(lines)]; // one that is asked twice would halve its own share
      const long = texts.find((text) => text.length > CAPTION);
      if (texts.length > MOST_CAPTIONS) problem.value = `${texts.length} captions: at most ${MOST_CAPTIONS} are right`;
      else if (long) problem.value = `“${long.slice(0, 40)}…”: a caption has at most ${CAPTION} characters`;
      else send({ type: "ask", captions: texts });
    },
    sweep: (factor: string, levels: Value[]) => {
      points.value = [];
      swept.value = factor;
      running.value = "sweep";
      outcome.value = "";
      problem.value = "";
      send({ type: "sweep", factor, levels });
    },
    search: (wanted: Omit<Extract<Request, { type: "search" }>, "type">) => {
      best.value = null;
      running.value = "search";
      outcome.value = "";
      problem.value = "";
      send({ type: "search", ...wanted });
    },
    stop: () => send({ type: "stop" }),
    share: () => send({ type: "share", note: note.value }),
    open: (finding: string) => send({ type: "open", finding }),
  };
};

export type State = ReturnType<typeof createState>;

export const valueOf = (factors: Factors, control: Control): Value =>
  factors[control.factor] ?? control.default ?? "";

const GROUPS: Record<string, string> = { "first character": "First character", "second character": "Second character" };
const NAMES: Record<string, string> = {
  World_Name: "World", World_Region: "Region", Scene_Light: "Colour of the light", JPEG_Quality: "JPEG quality",
  Character1_Pos: "Place", Character2_Pos: "Place",
};
export const label = (wire: string) => {
  const text = wire.replace(/^Character\d?_/, "").replaceAll("_", " ");
  return NAMES[wire] ?? text.charAt(0) + text.slice(1).toLowerCase();
};


/** A name that no other control has: both characters have a texture. */
export const fullLabel = (control: Control) => {
  const group = control.factor.startsWith("Character") ? GROUPS[control.group] : undefined;
  const short = label(control.factor);
  return group ? `${group}: ${short.toLowerCase()}` : short;
};

/** What the engine said, with the names of controls instead of those of factors. */
export const spoken = (text: string, controls: Control[]) => controls.reduce((said, control) => {
  // A name without a joint is a common word, too: there only the beginning of a line is one of a factor.
  const place = control.factor.includes("_") ? `(?<!\\w)${control.factor}(?!\\w)` : `^${control.factor}(?= = |:)`;
  return said.replace(new RegExp(place, "gm"), fullLabel(control));
}, text);

/** Whether a unit says more than the name, "Lens drops" in drops. */
export const unitOf = (control: Control) => {
  const words = label(control.factor).toLowerCase();
  return words.endsWith(control.unit.toLowerCase()) ? "" : control.unit;
};

/** The number that a person wrote, with a decimal point or comma; null where it is none, or could be two. */
export const parseNumber = (text: string): number | null => {
  const plain = text.replaceAll("−", "-").replace(/\s/g, "");
  if (!/^[-+]?(\d+([.,]\d*)?|[.,]\d+)(e[-+]?\d+)?$/i.test(plain)) return null;
  if (/^[-+]?[1-9]\d{0,2},\d{3}$/.test(plain)) return null; // a thousand, or one
  return Number(plain.replace(",", "."));
};

export const nameOf = (control: Control | undefined, value: Value): string =>
  control?.levels.find((level) => level.value === value)?.name ?? String(value);

/** Levels of a control for a sweep: all of a category, evenly chosen ones of a range. */
export const levelsOf = (control: Control, count: number, low?: number, high?: number): Value[] => {
  if (control.kind === "levels") {
    const all = control.levels.map((level) => level.value);
    if (all.length <= count) return all;
    return Array.from({ length: count }, (_, k) => all[Math.floor((k * all.length) / count)] as Value);
  }
  return [...new Set(numbersOf(control, count, low, high))];
};

const numbersOf = (control: Control, count: number, low?: number, high?: number): Value[] => {
  if (control.periodic && low === undefined && high === undefined) {
    return Array.from({ length: count }, (_, k) => Math.round((k * 360) / count));
  }
  const from = low ?? control.low ?? 0;
  const to = high ?? control.high ?? 1;
  return Array.from({ length: count }, (_, k) => {
    const at = count === 1 ? 0 : k / (count - 1);
    const value = control.logarithmic ? from * (to / from) ** at : from + (to - from) * at;
    return control.whole ? Math.round(value) : Number(value.toPrecision(4));
  });
};

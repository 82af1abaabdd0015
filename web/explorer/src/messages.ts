// The messages of the explorer; their shapes are those of torchmultiverse/explore/events.py.

export type Value = string | number;
export type Factors = Record<string, Value>;

export interface Level { value: string; name: string; about: string }

export interface Control {
  factor: string;
  group: string;
  kind: "levels" | "range" | "vector" | "text";
  doc: string;
  unit: string;
  default: Value | null;
  required: boolean;
  own: boolean;
  low: number | null;
  high: number | null;
  step: number | null;
  periodic: boolean;
  logarithmic: boolean;
  whole: boolean;
  levels: Level[];
}

export interface ModelCard {
  name: string; kind: string; about: string; parameters: number | null; weights_sha256: string | null;
}

export interface Said { text: string; probability: number; right: boolean | null; why: string }

export interface Reading {
  model: string; kind: string; top: Said[]; right: number | null; margin: number | null; milliseconds: number;
  verdict: "right" | "wrong" | "not judged" | ""; error: string;
}

export interface Example { row: number; factors: Factors; image: string }
export interface Ready {
  type: "ready"; engine: string; controls: Control[]; models: ModelCard[]; factors: Factors; captions: string[];
  shown: boolean; examples: Example[];
}
export interface Picture {
  type: "picture"; number: number; stage: "first" | "final"; scene_id: string; factors: Factors;
  image: string; small: string | null; milliseconds: number;
  engine_milliseconds: number; samples: number | null; visible: number | null; area: number | null;
}
export interface Readings {
  type: "readings"; number: number; readings: Reading[]; reference: Reading[]; captions: string[];
}
export interface Pinned { type: "pinned"; factors: Factors; image: string; readings: Reading[] }
export interface Point {
  type: "point"; of: "sweep" | "search"; done: number; total: number; seconds_left: number | null; factor: string;
  level: Value | null; factors: Factors; image: string | null; readings: Reading[]; margin: number | null;
  problem: string;
}
export interface Done { type: "done"; of: "sweep" | "search"; found: boolean; text: string; factors: Factors }
export interface Shared { type: "shared"; name: string; finding: string; spec: string }
export interface Opened {
  type: "opened"; factors: Factors; note: string; image: string; readings: Reading[]; same_engine: boolean;
  missing: string[];
}
export interface Busy { type: "busy"; text: string; seconds: number | null }
export interface Notice { type: "notice"; text: string }
export interface Problem { type: "problem"; text: string; number: number | null; lasting: boolean; again: boolean }

export type Event = Ready | Picture | Readings | Pinned | Point | Done | Shared | Opened | Busy | Notice | Problem;

export type Request =
  | { type: "look"; number: number; factors: Factors }
  | { type: "pin" }
  | { type: "ask"; captions: string[] }
  | { type: "sweep"; factor: string; levels: Value[] }
  | { type: "search"; model: string; factors: string[]; pictures: number; visible: number; area: number }
  | { type: "stop" }
  | { type: "share"; note: string }
  | { type: "open"; finding: string };

/** What carries messages: a WebSocket, or a notebook's connection to its kernel. */
export interface Channel {
  send(request: Request): void;
  listen(take: (event: Event) => void, state: (connected: boolean, why: string) => void): void;
}

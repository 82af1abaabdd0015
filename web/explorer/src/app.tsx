import { useEffect, useRef, useState } from "preact/hooks";
import { Controls } from "./controls";
import type { Factors } from "./messages";
import { Models } from "./models";
import { SearchPanel } from "./search";
import { SweepPanel } from "./sweep";
import { nameOf, type State } from "./state";

const download = (name: string, text: string) => {
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
};

const took = (milliseconds: number) =>
  milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;

const Stage = ({ state, compare }: { state: State; compare: boolean }) => {
  const picture = state.picture.value;
  const pinned = state.pinned.value;
  const refining = state.waiting.value;
  return (
    <figure class={`stage ${compare && pinned ? "two" : ""}`} aria-busy={refining}>
      <div class="frames">
        {picture
          ? <img class={picture.stage} src={picture.image} alt="The scene that is shown" />
          : <div class="placeholder">{state.busy.value || (state.connected.value ? "waiting for the engine …" : "")}</div>}
        {compare && pinned && <img src={pinned.image} alt="The reference" class="reference" />}
      </div>
      <figcaption>
        {state.busy.value
          ? <span class="busy">{state.busy.value} …</span>
          : picture && <span>{picture.stage === "first" ? "refining …" : "final"} · {took(picture.milliseconds)}
            {picture.samples !== null && <span class="wide"> · {picture.samples} samples</span>}
            {picture.visible !== null && ` · ${Math.round(picture.visible * 100)} % of it seen`}</span>}
        {compare && pinned && <span class="right">reference</span>}
      </figcaption>
      {refining && <div class="line-progress" aria-hidden="true" />}
    </figure>
  );
};

const Strip = ({ state }: { state: State }) => {
  const end = useRef<HTMLUListElement>(null);
  const count = state.shots.value.length;
  const controls = state.ready.value?.controls ?? [];
  const title = (factors: Factors) => {
    const wire = factors.Character_Name === undefined ? "World_Name" : "Character_Name";
    return nameOf(controls.find((one) => one.factor === wire), factors[wire] ?? "");
  };
  useEffect(() => { end.current?.scrollTo({ left: end.current.scrollWidth }); }, [count]);
  if (count === 0) return null;
  return (
    <ul class="strip film" ref={end} aria-label="What was looked at">
      {state.shots.value.map((shot, k) => (
        <li key={shot.number}>
          <button type="button" onClick={() => state.show(shot.factors)} title="Show this scene again">
            <img src={shot.image} alt={`Scene ${k + 1}`} />
            <span>{title(shot.factors)}</span>
          </button>
        </li>
      ))}
    </ul>
  );
};

const Examples = ({ state }: { state: State }) => {
  const examples = state.ready.value?.examples ?? [];
  if (examples.length === 0) return null;
  return (
    <details class="examples">
      <summary>From the dataset</summary>
      <ul class="strip" aria-label="Pictures of the dataset">
        {examples.map((one) => (
          <li key={one.row}>
            <button type="button" onClick={() => state.show(one.factors)} title="Show this scene">
              <img src={one.image} alt={`Row ${one.row}`} />
              <span>row {one.row}</span>
            </button>
          </li>
        ))}
      </ul>
    </details>
  );
};

const Share = ({ state, close }: { state: State; close: () => void }) => {
  const shared = state.shared.value;
  useEffect(() => { state.shared.value = null; }, []);
  return (
    <div class="panel">
      <p>A finding is one file: scene, picture, what the models said and the hashes of their weights. It opens in every
        explorer.</p>
      <label>Note <textarea rows={2} value={state.note.value}
        onInput={(event) => { state.note.value = event.currentTarget.value; }} /></label>
      <div class="line">
        <button type="button" disabled={!state.picture.value} onClick={state.share}>Make the file</button>
        <button type="button" class="quiet" onClick={close}>Close</button>
      </div>
      {shared && (
        <div class="line">
          <button type="button" onClick={() => download(`${shared.name}.json`, shared.finding)}>Save the finding</button>
          <button type="button" onClick={() => download(`${shared.name}-spec.json`, shared.spec)}>
            Save a spec of its neighbourhood</button>
          <p>Render the neighbourhood with <code>torchmultiverse render {shared.name}-spec.json --out {shared.name}</code></p>
        </div>
      )}
    </div>
  );
};

const MOST_BYTES = 16 * 2 ** 20;

export const App = ({ state, keys = true }: { state: State; keys?: boolean }) => {
  const [tab, setTab] = useState<"" | "sweep" | "search" | "share">("");
  const [factor, setFactor] = useState("Camera_Yaw");
  const [compare, setCompare] = useState(true);
  const file = useRef<HTMLInputElement>(null);
  const tools = useRef<HTMLDivElement>(null);
  const enter = useRef(false); // whether the panel that opens takes the focus

  const openTab = (name: "sweep" | "search" | "share") => {
    enter.current = true;
    setTab(name);
    setOpened((count) => count + 1);
  };
  const [opened, setOpened] = useState(0);
  useEffect(() => {
    if (!enter.current) return;
    enter.current = false;
    tools.current?.querySelector<HTMLElement>("select, input, textarea, button")?.focus();
  }, [tab, opened]);

  useEffect(() => {
    if (!keys) return undefined;
    const press = (event: KeyboardEvent) => {
      const inText = (event.target as HTMLElement).closest("input:not([type=range]):not([type=checkbox]), textarea, select");
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !inText) {
        event.preventDefault();
        if (event.shiftKey) state.redo(); else state.undo();
        return;
      }
      if (inText || event.ctrlKey || event.metaKey || event.altKey) return;
      const act: Record<string, () => void> = {
        p: state.pin, u: state.undo, r: state.redo, c: () => setCompare((now) => !now), Escape: state.stop,
        s: () => openTab("share"), f: () => openTab("search"), w: () => openTab("sweep"),
        "/": () => document.getElementById("find-control")?.focus(),
      };
      const wanted = act[event.key];
      if (wanted) { event.preventDefault(); wanted(); }
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, [state, keys]);

  const tabs = [["sweep", "Sweep"], ["search", "Find a failure"], ["share", "Share"]] as const;
  return (
    <div class="explorer">
      <header>
        <h1>TorchMultiverse <span>explorer</span></h1>
        <div class="actions" role="toolbar" aria-label="Scene">
          <button type="button" onClick={state.undo} disabled={!state.canUndo.value} title="Undo (u)">Undo</button>
          <button type="button" onClick={state.redo} disabled={!state.canRedo.value} title="Redo (r)">Redo</button>
          <button type="button" onClick={state.pin} disabled={!state.picture.value} title="Take as the reference (p)">Pin</button>
          <button type="button" aria-pressed={compare} disabled={!state.pinned.value}
            onClick={() => setCompare(!compare)} title="Show the reference beside it (c)">Compare</button>
          <button type="button" onClick={() => file.current?.click()}>Open</button>
          <input ref={file} type="file" accept="application/json,.json" hidden onChange={async (event) => {
            const chosen = event.currentTarget.files?.[0];
            event.currentTarget.value = "";
            if (!chosen) return;
            if (chosen.size > MOST_BYTES) state.problem.value = `${chosen.name} is too large for a finding`;
            else state.open(await chosen.text());
          }} />
        </div>
        <p class="engine">{state.ready.value?.engine ?? ""}</p>
      </header>
      {!state.connected.value && <p class="banner" role="alert">{state.why.value || "connecting …"}</p>}
      {state.problem.value && (
        <p class="banner" role="alert">{state.problem.value}{" "}
          <button type="button" class="quiet" onClick={() => { state.problem.value = ""; }}>dismiss</button></p>
      )}
      {state.notice.value && (
        <p class="banner notice" role="status">{state.notice.value}{" "}
          <button type="button" class="quiet" onClick={() => { state.notice.value = ""; }}>dismiss</button></p>
      )}
      <main>
        <div class="middle">
          <Stage state={state} compare={compare} />
          <Strip state={state} />
          <Examples state={state} />
          <nav class="tabs" aria-label="Tools">
            {tabs.map(([name, title]) => (
              <button key={name} type="button" aria-pressed={tab === name}
                onClick={() => setTab(tab === name ? "" : name)}>{title}</button>
            ))}
          </nav>
          <div ref={tools}>
            {tab === "sweep" && <SweepPanel state={state} factor={factor} setFactor={setFactor} />}
            {tab === "search" && <SearchPanel state={state} />}
            {tab === "share" && <Share state={state} close={() => setTab("")} />}
          </div>
        </div>
        <Models state={state} />
        <Controls state={state} onSweep={(wanted) => { setFactor(wanted); openTab("sweep"); }} />
      </main>
      <p class="visually-hidden" role="status" aria-live="polite">{state.said.value}</p>
    </div>
  );
};

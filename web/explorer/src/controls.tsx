import { useState } from "preact/hooks";
import type { Control, Value } from "./messages";
import { label, nameOf, valueOf, type State } from "./state";

const FEW = 12;
const TITLES: Record<string, string> = {
  "world": "World", "first character": "First character", "second character": "Second character", "camera": "Camera",
  "light": "Light", "weather": "Weather", "occlusion": "Occlusion", "crowding": "Crowding", "region": "Region",
};
const OPEN = new Set(["world", "first character", "camera"]);
const STEPS = 1000;

const toSlider = (control: Control, value: number) => {
  const [low, high] = [control.low ?? 0, control.high ?? 1];
  const at = control.logarithmic ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  return Math.round(Math.min(1, Math.max(0, at)) * STEPS);
};

const fromSlider = (control: Control, at: number) => {
  const [low, high, step] = [control.low ?? 0, control.high ?? 1, control.step ?? 0.01];
  if (control.logarithmic) return Number((low * (high / low) ** (at / STEPS)).toPrecision(3));
  const value = low + ((high - low) * at) / STEPS;
  return Number(Math.min(high, Math.max(low, Math.round(value / step) * step)).toFixed(6));
};

const Levels = ({ state, control, id }: { state: State; control: Control; id: string }) => {
  const value = valueOf(state.factors.value, control);
  if (control.levels.length <= FEW) {
    return (
      <select id={id} value={value} onChange={(event) => state.set(control, event.currentTarget.value)}>
        {control.levels.map((level) => <option key={level.value} value={level.value}>{level.name}</option>)}
      </select>
    );
  }
  const take = (input: HTMLInputElement) => {
    const wanted = input.value.trim().toLowerCase();
    const found = control.levels.find((one) => one.name.toLowerCase() === wanted || one.value.toLowerCase() === wanted)
      ?? control.levels.find((one) => wanted && one.name.toLowerCase().startsWith(wanted))
      ?? control.levels.find((one) => wanted && `${one.name} ${one.about}`.toLowerCase().includes(wanted));
    if (!found && wanted) state.problem.value = `${label(control.factor)}: nothing is called “${input.value.trim()}”`;
    if (found && found.value !== value) state.set(control, found.value);
    input.value = nameOf(control, found?.value ?? value);
  };
  return (
    <>
      <input id={id} list={`${id}-levels`} value={nameOf(control, value)} autocomplete="off" spellcheck={false}
        onFocus={(event) => event.currentTarget.select()}
        onKeyDown={(event) => event.key === "Enter" && take(event.currentTarget)}
        onChange={(event) => take(event.currentTarget)} />
      <datalist id={`${id}-levels`}>
        {control.levels.map((level) => <option key={level.value} value={level.name}>{level.about}</option>)}
      </datalist>
    </>
  );
};

const Range = ({ state, control, id }: { state: State; control: Control; id: string }) => {
  const value = valueOf(state.factors.value, control);
  const own = value === "own";
  const middle = control.logarithmic
    ? Math.sqrt((control.low ?? 1) * (control.high ?? 1)) : ((control.low ?? 0) + (control.high ?? 1)) / 2;
  const number = own ? middle : Number(value);
  return (
    <div class="range">
      {control.own && (
        <label class="own">
          <input type="checkbox" checked={own} aria-label={`${label(control.factor)}: its own`}
            onChange={(event) => state.set(control, event.currentTarget.checked ? "own" : fromSlider(control,
              toSlider(control, middle)))} />
          its own
        </label>
      )}
      <input id={id} type="range" min={0} max={STEPS} step={1} value={toSlider(control, number)} disabled={own}
        aria-valuetext={`${own ? "its own" : number} ${control.unit}`}
        onInput={(event) => state.set(control, fromSlider(control, Number(event.currentTarget.value)), true)}
        onChange={() => state.settle()} />
      <input type="number" value={own ? "" : number} disabled={own} step="any" min={control.low ?? undefined}
        max={control.high ?? undefined} aria-label={`${label(control.factor)}, number`}
        onChange={(event) => {
          const wanted = event.currentTarget.valueAsNumber;
          if (Number.isFinite(wanted)) state.set(control, wanted);
        }} />
    </div>
  );
};

const Vector = ({ state, control, id }: { state: State; control: Control; id: string }) => {
  const parts = String(valueOf(state.factors.value, control)).split(",").map(Number);
  const names = ["away", "right", "up"];
  return (
    <div class="vector">
      {names.map((name, k) => (
        <label key={name}>{name}
          <input id={k === 0 ? id : undefined} type="number" value={parts[k] ?? 0} step={control.step ?? 1}
            min={control.low ?? undefined} max={control.high ?? undefined}
            onChange={(event) => {
              const next = [...parts];
              next[k] = event.currentTarget.valueAsNumber || 0;
              state.set(control, next.join(","));
            }} />
        </label>
      ))}
    </div>
  );
};

const Text = ({ state, control, id }: { state: State; control: Control; id: string }) => (
  <input id={id} value={String(valueOf(state.factors.value, control))} autocomplete="off" spellcheck={false}
    onChange={(event) => state.set(control, event.currentTarget.value || null)} />
);

const KINDS = { levels: Levels, range: Range, vector: Vector, text: Text };

const Row = ({ state, control, onSweep }: { state: State; control: Control; onSweep: (factor: string) => void }) => {
  const Kind = KINDS[control.kind];
  const id = `control-${control.factor}`;
  const changed = control.factor in state.factors.value && !control.required;
  return (
    <div class={`control ${changed ? "changed" : ""}`}>
      <div class="head">
        <label for={id} title={`${control.factor}: ${control.doc}`}>
          {label(control.factor)} {control.unit && <small>{control.unit}</small>}
        </label>
        <span class="tools">
          {changed && (
            <button type="button" class="quiet" onClick={() => state.set(control, null)}
              aria-label={`Reset ${label(control.factor)}`}>reset</button>
          )}
          {(control.kind === "levels" || control.kind === "range") && (
            <button type="button" class="quiet" onClick={() => onSweep(control.factor)}
              aria-label={`Sweep ${label(control.factor)}`}>sweep</button>
          )}
        </span>
      </div>
      <Kind state={state} control={control} id={id} />
    </div>
  );
};

export const Controls = ({ state, onSweep }: { state: State; onSweep: (factor: string) => void }) => {
  const [wanted, setWanted] = useState("");
  const controls = state.ready.value?.controls ?? [];
  const words = wanted.toLowerCase().replaceAll("_", " ").trim();
  const shown = words
    ? controls.filter((one) => `${one.factor.replaceAll("_", " ")} ${one.doc} ${one.group}`.toLowerCase().includes(words))
    : controls;
  const groups = [...new Set(shown.map((one) => one.group))];
  return (
    <section class="controls" aria-label="Scene">
      <input id="find-control" type="search" placeholder="Find a control  ( / )" value={wanted} aria-label="Find a control"
        onInput={(event) => setWanted(event.currentTarget.value)} />
      {groups.map((group) => {
        const members = shown.filter((one) => one.group === group);
        const changed = members.filter((one) => one.factor in state.factors.value && !one.required).length;
        return (
          <details key={group} open={words !== "" || OPEN.has(group)}>
            <summary>{TITLES[group] ?? group}{changed > 0 && <span class="count">{changed}</span>}</summary>
            {members.map((control) => <Row key={control.factor} state={state} control={control} onSweep={onSweep} />)}
          </details>
        );
      })}
      {shown.length === 0 && controls.length > 0 && <p class="empty">No control has these words.</p>}
    </section>
  );
};

export type { Value };

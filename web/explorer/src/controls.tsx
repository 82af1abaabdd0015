import { useRef, useState } from "preact/hooks";
import type { Control, Value } from "./messages";
import { nearest } from "./nearest";
import { NumberField } from "./number";
import { fullLabel, label, nameOf, unitOf, valueOf, type State } from "./state";

const FEW = 12;
export const TITLES: Record<string, string> = {
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
  if (control.logarithmic) {
    const value = low * (high / low) ** (at / STEPS);
    return control.whole ? Math.round(value) : Number(value.toPrecision(3));
  }
  const value = low + ((high - low) * at) / STEPS;
  return Number(Math.min(high, Math.max(low, Math.round(value / step) * step)).toFixed(6));
};

const Levels = ({ state, control, id }: { state: State; control: Control; id: string }) => {
  const value = valueOf(state.factors.value, control);
  const typed = useRef(false);
  if (control.levels.length <= FEW) {
    return (
      <select id={id} value={value} onChange={(event) => state.set(control, event.currentTarget.value)}>
        {control.levels.map((level) => <option key={level.value} value={level.value}>{level.name}</option>)}
      </select>
    );
  }
  const take = (input: HTMLInputElement) => {
    if (!typed.current && input.value === nameOf(control, value)) return; // put back by what follows, and not written
    typed.current = false;
    const wanted = input.value.trim().toLowerCase();
    const found = control.levels.find((one) => one.name.toLowerCase() === wanted || one.value.toLowerCase() === wanted)
      ?? control.levels.find((one) => wanted && one.name.toLowerCase().startsWith(wanted))
      ?? control.levels.find((one) => wanted && `${one.name} ${one.about}`.toLowerCase().includes(wanted));
    const near = nearest(wanted, control.levels.map((one) => one.name));
    state.tell(fullLabel(control))(found || !wanted
      ? "" : ` = “${input.value.trim()}”: nothing is called that; the nearest are ${near.join(", ")}`);
    if (found && found.value !== value) state.set(control, found.value);
    input.value = nameOf(control, found?.value ?? value);
  };
  return (
    <>
      <input id={id} list={`${id}-levels`} value={nameOf(control, value)} autocomplete="off" spellcheck={false}
        onFocus={(event) => event.currentTarget.select()}
        onInput={() => { typed.current = true; }}
        onKeyDown={(event) => {
          if (event.key !== "Enter") return;
          typed.current = true;
          take(event.currentTarget);
        }}
        onChange={(event) => take(event.currentTarget)}
        onBlur={(event) => typed.current && take(event.currentTarget)} />
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
          <input type="checkbox" checked={own} aria-label={`${fullLabel(control)}: its own`}
            onChange={(event) => state.set(control, event.currentTarget.checked ? "own" : fromSlider(control,
              toSlider(control, middle)))} />
          its own
        </label>
      )}
      <input id={id} type="range" min={0} max={STEPS} step={1} value={toSlider(control, number)} disabled={own}
        aria-valuetext={`${own ? "its own" : number} ${control.unit}`}
        onInput={(event) => state.set(control, fromSlider(control, Number(event.currentTarget.value)), true)}
        onChange={() => state.settle()} />
      <NumberField value={own ? null : number} disabled={own} low={control.low} high={control.high}
        step={control.step ?? 1} name={`${fullLabel(control)}, number`} set={(wanted) => state.set(control, wanted)}
        wrong={state.tell(fullLabel(control))} bounded periodic={control.periodic} unit={control.unit} />
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
          <NumberField id={k === 0 ? id : undefined} value={parts[k] ?? 0} step={control.step ?? 1} low={control.low}
            high={control.high} name={`${fullLabel(control)}, ${name}`}
            set={(wanted) => state.set(control, [0, 1, 2].map((j) => (j === k ? wanted : parts[j] ?? 0)).join(","))}
            wrong={state.tell(`${fullLabel(control)}, ${name}`)} bounded unit={control.unit} />
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
          {fullLabel(control) !== label(control.factor)
            && <span class="visually-hidden">{TITLES[control.group]}: </span>}
          {label(control.factor)} {unitOf(control) && <small>{unitOf(control)}</small>}
        </label>
        <span class="tools">
          {changed && (
            <button type="button" class="quiet" onClick={() => state.set(control, null)}
              aria-label={`Reset ${fullLabel(control)}`}>reset</button>
          )}
          {(control.kind === "levels" || control.kind === "range") && (
            <button type="button" class="quiet" onClick={() => onSweep(control.factor)}
              aria-label={`Sweep ${fullLabel(control)}`}>sweep</button>
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

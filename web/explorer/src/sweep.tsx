import { useState } from "preact/hooks";
import { Chart } from "./chart";
import { TITLES } from "./controls";
import type { Control, Value } from "./messages";
import { COLORS } from "./models";
import { NumberField } from "./number";
import { fullLabel, label, levelsOf, nameOf, type State } from "./state";

const MOST_LEVELS = 48;
const SHOWN = 60; // levels of a list that is not searched

export const left = (seconds: number | null) =>
  seconds === null ? "" : seconds < 90 ? `${Math.ceil(seconds)} s left` : `${Math.ceil(seconds / 60)} min left`;

export const within = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value));

/** Chooses levels of a category. */
const Picker = ({ control, chosen, choose }: {
  control: Control; chosen: Value[]; choose: (levels: Value[]) => void;
}) => {
  const [wanted, setWanted] = useState("");
  const words = wanted.trim().toLowerCase();
  const fits = control.levels.filter((one) => `${one.name} ${one.value} ${one.about}`.toLowerCase().includes(words));
  const picked = new Set(chosen);
  const shown = words ? fits : [...fits.filter((one) => picked.has(one.value)), ...fits.filter((one) => !picked.has(one.value))];
  return (
    <fieldset class="picker">
      <legend>{chosen.length} of {control.levels.length} levels</legend>
      {control.levels.length > 12 && (
        <input type="search" placeholder="Find a level" aria-label="Find a level" value={wanted}
          onInput={(event) => setWanted(event.currentTarget.value)} />
      )}
      <div class="list">
        {shown.slice(0, SHOWN).map((one) => (
          <label key={one.value} class="check" title={one.about}>
            <input type="checkbox" checked={picked.has(one.value)}
              disabled={!picked.has(one.value) && chosen.length >= MOST_LEVELS}
              onChange={(event) => choose(event.currentTarget.checked
                ? [...chosen, one.value] : chosen.filter((value) => value !== one.value))} />
            {one.name}
          </label>
        ))}
        {shown.length > SHOWN && <p class="empty">and {shown.length - SHOWN} more: find one by its words</p>}
        {shown.length === 0 && <p class="empty">No level has these words.</p>}
      </div>
      <div class="line">
        <button type="button" class="quiet" onClick={() => choose([])}>none</button>
        <button type="button" class="quiet" onClick={() => choose(levelsOf(control, 9))}>
          {control.levels.length <= 9 ? "all" : "nine of them"}</button>
      </div>
    </fieldset>
  );
};

/** What was chosen for one factor. */
interface Wanted { factor: string; low: number | null; high: number | null; chosen: Value[] | null }

export const SweepPanel = ({ state, factor, setFactor }: {
  state: State; factor: string; setFactor: (factor: string) => void;
}) => {
  const controls = (state.ready.value?.controls ?? []).filter((one) => one.kind === "levels" || one.kind === "range");
  const control = controls.find((one) => one.factor === factor) ?? controls.find((one) => one.factor === "Camera_Yaw");
  const [count, setCount] = useState(9);
  const [kept, keep] = useState<Wanted | null>(null);
  if (!control) return null;
  const { low, high, chosen }: Wanted = kept?.factor === control.factor
    ? kept : { factor: control.factor, low: null, high: null, chosen: null };
  const change = (wanted: Partial<Wanted>) => keep({ factor: control.factor, low, high, chosen, ...wanted });
  const swept = state.ready.value?.controls.find((one) => one.factor === state.swept.value);
  const points = state.points.value;
  const running = state.running.value === "sweep";
  const models = state.ready.value?.models ?? [];
  const category = control.kind === "levels";
  const levels = category && chosen ? chosen : levelsOf(control, count, low ?? undefined, high ?? undefined);
  const groups = [...new Set(controls.map((one) => one.group))];
  return (
    <div class="panel">
      <form onSubmit={(event) => { event.preventDefault(); state.sweep(control.factor, levels); }}>
        <div class="line">
          <label>Factor
            <select value={control.factor} onChange={(event) => setFactor(event.currentTarget.value)}>
              {groups.map((group) => (
                <optgroup key={group} label={TITLES[group] ?? group}>
                  {controls.filter((one) => one.group === group).map((one) => (
                    <option key={one.factor} value={one.factor}>{fullLabel(one)}</option>
                  ))}
                </optgroup>
              ))}
            </select>
          </label>
          {!category && (
            <>
              <label>from <NumberField low={control.low} high={control.high} step={control.step ?? 1}
                value={low ?? control.low} wrong={state.tell("From")}
                set={(wanted) => change({ low: wanted })} /></label>
              <label>to <NumberField low={control.low} high={control.high} step={control.step ?? 1}
                value={high ?? control.high} wrong={state.tell("To")}
                set={(wanted) => change({ high: wanted })} /></label>
              <label>levels <NumberField low={2} high={MOST_LEVELS} value={count} wrong={state.tell("Levels")}
                set={(wanted) => setCount(Math.round(within(wanted, 2, MOST_LEVELS)))} /></label>
            </>
          )}
          {running
            ? <button type="button" onClick={state.stop}>Stop</button>
            : <button disabled={!state.picture.value || levels.length < 2}>Sweep {levels.length} levels</button>}
        </div>
        {category && <Picker key={control.factor} control={control} chosen={levels} choose={(levels) => change({ chosen: levels })} />}
      </form>
      {running && (
        <p class="progress"><progress value={state.progress.value?.done ?? 0} max={state.progress.value?.total ?? 1} />
          {left(state.progress.value?.seconds_left ?? null)}</p>
      )}
      {points.length > 0 && swept && (
        <>
          {models.length > 0 && <Chart state={state} points={points} />}
          {models.length > 0 && (
            <ul class="legend">{models.map((model, k) => (
              <li key={model.name} style={{ color: COLORS[k] }}><span>{model.name}</span></li>))}</ul>
          )}
          <ul class="strip" aria-label={`Levels of ${label(state.swept.value)}`}>
            {points.map((point) => (
              <li key={String(point.level)}>
                <button type="button" onClick={() => state.show(point.factors)} disabled={!point.image}
                  title={point.problem || "Show this scene"}>
                  {point.image ? <img src={point.image} alt="" /> : <span class="gap">{point.problem}</span>}
                  <span>{nameOf(swept, point.level as Value)}</span>
                </button>
              </li>
            ))}
          </ul>
        </>
      )}
    </div>
  );
};

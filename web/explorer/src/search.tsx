import { useState } from "preact/hooks";
import { percent } from "./models";
import { NumberField } from "./number";
import { left, within } from "./sweep";
import type { State } from "./state";

const TITLES: Record<string, string> = {
  "world": "world and its light", "first character": "pose and texture", "second character": "second character",
};

export const SearchPanel = ({ state }: { state: State }) => {
  const ready = state.ready.value;
  const groups = [...new Set((ready?.controls ?? []).map((one) => one.group))];
  const [model, setModel] = useState("");
  const [free, setFree] = useState<string[]>(["first character", "camera", "light"]);
  const [pictures, setPictures] = useState(60);
  const [visible, setVisible] = useState(60);
  const [area, setArea] = useState(4);
  if (!ready) return null;
  const models = ready.models.filter((one) => one.kind !== "encoder");
  if (models.length === 0) return <p class="empty">A search needs a model that knows words: start with --model.</p>;
  const running = state.running.value === "search";
  const best = state.best.value;
  return (
    <div class="panel">
      <p>Looks for a picture that the model gets wrong although a person would not: what it shows stays in view and large
        enough. It begins with the scene that is shown; which characters there are stays as it is.</p>
      <form onSubmit={(event) => {
        event.preventDefault();
        const factors = ready.controls.filter((one) => free.includes(one.group)).map((one) => one.factor);
        state.search({ model: model || (models[0]?.name ?? ""), factors, pictures, visible: visible / 100,
          area: area / 100 });
      }}>
        <div class="line">
          <label>Model
            <select value={model || models[0]?.name} onChange={(event) => setModel(event.currentTarget.value)}>
              {models.map((one) => <option key={one.name}>{one.name}</option>)}
            </select>
          </label>
          <label>pictures at most <NumberField low={1} high={2000} value={pictures} wrong={state.tell("Pictures at most")}
            set={(wanted) => setPictures(Math.round(within(wanted, 1, 2000)))} /></label>
          <label>seen at least <NumberField low={0} high={100} value={visible} wrong={state.tell("Seen at least")}
            set={(wanted) => setVisible(within(wanted, 0, 100))} /> %</label>
          <label>of the picture at least <NumberField low={0} high={100} step={0.5} value={area} wrong={state.tell("Of the picture at least")}
            set={(wanted) => setArea(within(wanted, 0, 100))} /> %</label>
        </div>
        <fieldset class="line"><legend>What may change</legend>
          {groups.map((group) => (
            <label key={group} class="check">
              <input type="checkbox" checked={free.includes(group)}
                onChange={(event) => setFree(event.currentTarget.checked
                  ? [...free, group] : free.filter((one) => one !== group))} />
              {TITLES[group] ?? group}
            </label>
          ))}
        </fieldset>
        {running
          ? <button type="button" onClick={state.stop}>Stop</button>
          : <button disabled={!state.picture.value || free.length === 0}>Find a failure</button>}
      </form>
      {running && (
        <p class="progress"><progress value={state.progress.value?.done ?? 0} max={state.progress.value?.total ?? 1} />
          {left(state.progress.value?.seconds_left ?? null)}</p>
      )}
      {state.outcome.value && <p role="status">{state.outcome.value}</p>}
      {best?.image && (
        <button type="button" class="found" onClick={() => state.show(best.factors)}>
          <img src={best.image} alt="" />
          <span>{best.margin !== null && best.margin < 0 ? "Wrong" : "Nearest to wrong"}: margin{" "}
            {percent(best.margin ?? 0)}; what is said: {best.readings[0]?.top[0]?.text}. Show it</span>
        </button>
      )}
    </div>
  );
};

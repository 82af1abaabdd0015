import type { Point, Value } from "./messages";
import { COLORS, percent } from "./models";
import { label, levelsOf, nameOf, type State } from "./state";
import { useEffect, useState } from "preact/hooks";

const W = 640;
const H = 200;
const PAD = { left: 44, right: 12, top: 10, bottom: 30 };

export const left = (seconds: number | null) =>
  seconds === null ? "" : seconds < 90 ? `${Math.ceil(seconds)} s left` : `${Math.ceil(seconds / 60)} min left`;

const Chart = ({ state, points }: { state: State; points: Point[] }) => {
  const control = state.ready.value?.controls.find((one) => one.factor === state.swept.value);
  const models = state.ready.value?.models ?? [];
  const x = (k: number) => PAD.left + ((W - PAD.left - PAD.right) * (k + 0.5)) / Math.max(points.length, 1);
  const y = (value: number) => H - PAD.bottom - (H - PAD.top - PAD.bottom) * value;
  const told = points.some((point) => point.readings.some((one) => one.right !== null));
  const value = (point: Point, model: string) => {
    const found = point.readings.find((one) => one.model === model);
    return found ? found.right ?? (told ? null : found.top[0]?.probability ?? null) : null;
  };
  const every = Math.ceil(points.length / 8);
  return (
    <svg viewBox={`0 0 ${W} ${H}`} role="img" aria-label={`Probability of ${told ? "what is true" : "the likeliest"} by ${label(state.swept.value)}`}>
      {[0, 0.25, 0.5, 0.75, 1].map((tick) => (
        <g key={tick}>
          <line x1={PAD.left} x2={W - PAD.right} y1={y(tick)} y2={y(tick)} class="grid" />
          <text x={PAD.left - 6} y={y(tick) + 4} text-anchor="end">{Math.round(tick * 100)} %</text>
        </g>
      ))}
      {points.map((point, k) => k % every === 0 && (
        <text key={k} x={x(k)} y={H - 10} text-anchor="middle">{nameOf(control, point.level as Value).slice(0, 12)}</text>
      ))}
      {models.map((model, j) => {
        const shown = points.map((point, k) => [k, value(point, model.name)] as const).filter(([, v]) => v !== null);
        return (
          <g key={model.name} style={{ color: COLORS[j] }}>
            <polyline class="curve" points={shown.map(([k, v]) => `${x(k)},${y(v as number)}`).join(" ")} />
            {shown.map(([k, v]) => (
              <circle key={k} cx={x(k)} cy={y(v as number)} r={4}>
                <title>{`${model.name}: ${percent(v as number)}`}</title>
              </circle>
            ))}
          </g>
        );
      })}
    </svg>
  );
};

export const SweepPanel = ({ state, factor, setFactor }: {
  state: State; factor: string; setFactor: (factor: string) => void;
}) => {
  const controls = (state.ready.value?.controls ?? []).filter((one) => one.kind === "levels" || one.kind === "range");
  const control = controls.find((one) => one.factor === factor) ?? controls.find((one) => one.factor === "Camera_Yaw");
  const [count, setCount] = useState(9);
  const [low, setLow] = useState<number | null>(null);
  const [high, setHigh] = useState<number | null>(null);
  useEffect(() => { setLow(null); setHigh(null); }, [factor]);
  if (!control) return null;
  const points = state.points.value;
  const running = state.running.value === "sweep";
  const models = state.ready.value?.models ?? [];
  return (
    <div class="panel">
      <form class="line" onSubmit={(event) => {
        event.preventDefault();
        state.sweep(control.factor, levelsOf(control, count, low ?? undefined, high ?? undefined));
      }}>
        <label>Factor
          <select value={control.factor} onChange={(event) => setFactor(event.currentTarget.value)}>
            {controls.map((one) => <option key={one.factor} value={one.factor}>{one.factor.replaceAll("_", " ")}</option>)}
          </select>
        </label>
        {control.kind === "range" && (
          <>
            <label>from <input type="number" step="any" value={low ?? control.low ?? 0}
              onChange={(event) => setLow(event.currentTarget.valueAsNumber)} /></label>
            <label>to <input type="number" step="any" value={high ?? control.high ?? 1}
              onChange={(event) => setHigh(event.currentTarget.valueAsNumber)} /></label>
          </>
        )}
        <label>levels <input type="number" min={2} max={48} value={count}
          onChange={(event) => setCount(Math.min(48, Math.max(2, event.currentTarget.valueAsNumber || 9)))} /></label>
        {running
          ? <button type="button" onClick={state.stop}>Stop</button>
          : <button disabled={!state.picture.value}>Sweep</button>}
      </form>
      {running && (
        <p class="progress"><progress value={state.progress.value?.done ?? 0} max={state.progress.value?.total ?? 1} />
          {left(state.progress.value?.seconds_left ?? null)}</p>
      )}
      {points.length > 0 && (
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
                  <span>{nameOf(control, point.level as Value)}</span>
                </button>
              </li>
            ))}
          </ul>
        </>
      )}
    </div>
  );
};

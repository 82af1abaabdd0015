import type { Point, Value } from "./messages";
import { COLORS, percent } from "./models";
import { fullLabel, nameOf, type State } from "./state";

const W = 640;
const H = 240;
const PAD = { left: 62, right: 12, top: 12, bottom: 54 };
const BAR = 0.8; // share of a level's place that its bars take

const y = (value: number) => H - PAD.bottom - (H - PAD.top - PAD.bottom) * value;

/** What a chart shows of a point by a model: what is true, or, where nothing that was asked is, the likeliest. */
const shownOf = (points: Point[]) => {
  const told = points.some((point) => point.readings.some((one) => one.right !== null));
  const value = (point: Point, model: string): number | null => {
    const found = point.readings.find((one) => one.model === model);
    return found ? found.right ?? (told ? null : found.top[0]?.probability ?? null) : null;
  };
  return { told, value };
};

/** Scores over the levels of a factor: a curve over numbers, bars for names, which have no order. */
export const Chart = ({ state, points }: { state: State; points: Point[] }) => {
  const control = state.ready.value?.controls.find((one) => one.factor === state.swept.value);
  const models = state.ready.value?.models ?? [];
  const names = control?.kind === "levels";
  const place = (W - PAD.left - PAD.right) / Math.max(points.length, 1);
  const x = (k: number) => PAD.left + place * (k + 0.5);
  const { told, value } = shownOf(points);
  const every = Math.ceil(points.length / (names ? 5 : 8));
  const about = `Probability of ${told ? "what is true" : "the likeliest"} by ${control ? fullLabel(control) : ""}`;
  return (
    <svg viewBox={`0 0 ${W} ${H}`} role="img" aria-label={about}>
      {[0, 0.25, 0.5, 0.75, 1].map((tick) => (
        <g key={tick}>
          <line x1={PAD.left} x2={W - PAD.right} y1={y(tick)} y2={y(tick)} class="grid" />
          <text x={PAD.left - 6} y={y(tick) + 4} text-anchor="end">{Math.round(tick * 100)} %</text>
        </g>
      ))}
      {points.map((point, k) => k % every === 0 && (
        <text key={k} x={names && k === points.length - 1 ? W - PAD.right : x(k)} y={H - PAD.bottom + 20}
          text-anchor={names && k === points.length - 1 ? "end" : "middle"}>
          {nameOf(control, point.level as Value).slice(0, 11)}</text>
      ))}
      <text x={(W + PAD.left) / 2} y={H - 6} text-anchor="middle">
        {control ? fullLabel(control) : ""}{control?.unit ? ` (${control.unit})` : ""}</text>
      {models.map((model, j) => {
        const shown = points.map((point, k) => [k, value(point, model.name)] as const).filter(([, v]) => v !== null);
        const title = (k: number, v: number) =>
          <title>{`${model.name}, ${nameOf(control, points[k]?.level as Value)}: ${percent(v)}`}</title>;
        return (
          <g key={model.name} style={{ color: COLORS[j] }}>
            {!names && <polyline class="curve" points={shown.map(([k, v]) => `${x(k)},${y(v as number)}`).join(" ")} />}
            {shown.map(([k, v]) => (names
              ? <rect key={k} x={x(k) + place * BAR * (j / models.length - 0.5)} y={y(v as number)}
                  width={(place * BAR) / models.length} height={y(0) - y(v as number)}>{title(k, v as number)}</rect>
              : <circle key={k} cx={x(k)} cy={y(v as number)} r={4}>{title(k, v as number)}</circle>))}
          </g>
        );
      })}
    </svg>
  );
};

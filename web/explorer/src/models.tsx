import type { Reading } from "./messages";
import type { State } from "./state";

export const COLORS = ["var(--model-1)", "var(--model-2)", "var(--model-3)", "var(--model-4)"];
export const percent = (probability: number) => `${(probability * 100).toFixed(probability < 0.1 ? 1 : 0)} %`;

const BADGES: Record<string, string> = {
  "right": "the likeliest answer is true of the scene", "wrong": "the likeliest answer is not true of the scene",
  "not judged": "whether the likeliest answer is true cannot be said",
};

const Change = ({ now, before }: { now: number; before: number | null | undefined }) => {
  if (before === null || before === undefined) return null;
  const change = (now - before) * 100;
  if (Math.abs(change) < 0.05) return <span class="change">±0</span>;
  return (
    <span class={`change ${change > 0 ? "up" : "down"}`} title="points against the reference">
      {change > 0 ? "+" : "−"}{Math.abs(change).toFixed(Math.abs(change) < 10 ? 1 : 0)}
    </span>
  );
};

const Card = ({ reading, before, color }: { reading: Reading; before: Reading | undefined; color: string }) => {
  const known = new Map(before?.top.map((one) => [one.text, one.probability]));
  const words = reading.kind !== "encoder";
  return (
    <article class="model" style={{ "--model": color }}>
      <h3>{reading.model} {reading.verdict && (
        <span class={`badge ${reading.verdict.replace(" ", "-")}`} title={BADGES[reading.verdict]}>{reading.verdict}</span>
      )}</h3>
      {reading.error && <p class="problem">{reading.error}</p>}
      {words && reading.right !== null && (
        <p class="summary">What is true has {percent(reading.right)} <Change now={reading.right} before={before?.right} /></p>
      )}
      <ol>
        {reading.top.map((one) => (
          <li key={one.text} class={one.right ? "true" : ""}>
            <span class="text">{one.text}{one.right && <span class="tick" title="true of the scene"> ✓</span>}
              {one.why && <span class="unknown" title={one.why}> ?<span class="visually-hidden"> {one.why}</span></span>}</span>
            <span class="figure">{words ? percent(one.probability) : one.probability.toFixed(3)}{" "}
              <Change now={one.probability} before={known.get(one.text)} /></span>
            <span class="bar" aria-hidden="true"><i style={{ width: `${Math.max(0, one.probability) * 100}%` }} /></span>
          </li>
        ))}
      </ol>
    </article>
  );
};

export const Models = ({ state }: { state: State }) => {
  const models = state.ready.value?.models ?? [];
  const asks = models.some((one) => one.kind === "image-text" || one.kind === "scorer");
  if (!state.ready.value) return null;
  return (
    <section class="models" aria-label="Models">
      {models.length === 0 && (
        <p class="empty">No model looks. Start with <code>--model</code>, up to four times.</p>
      )}
      {models.map((model, k) => {
        const reading = state.readings.value.find((one) => one.model === model.name);
        const before = state.reference.value.find((one) => one.model === model.name);
        return reading
          ? <Card key={model.name} reading={reading} before={before} color={COLORS[k] ?? "gray"} />
          : <article key={model.name} class="model waiting"><h3>{model.name}</h3><p>waiting for a picture …</p></article>;
      })}
      {asks && (
        <details class="captions">
          <summary>Captions that are asked for</summary>
          <form onSubmit={(event) => {
            event.preventDefault();
            state.ask();
          }}>
            <label for="captions">One in each line; none: “a photo of a …” for every class</label>
            <textarea id="captions" rows={4} value={state.captions.value}
              onInput={(event) => { state.captions.value = event.currentTarget.value; }}
              placeholder={"a photo of a zebra\na photo of a horse"} />
            <button>Ask</button>
          </form>
        </details>
      )}
    </section>
  );
};

import { parseNumber } from "./state";

/** A field for a number: a decimal comma is one, too, which a browser's own field drops in silence. */
export const NumberField = ({ value, set, wrong, low, high, step = 1, id, name, disabled = false }: {
  value: number | null;
  set: (value: number) => void;
  wrong: (text: string) => void;
  low: number | null;
  high: number | null;
  step?: number;
  id?: string;
  name?: string;
  disabled?: boolean;
}) => {
  const shown = value === null ? "" : String(value);
  const take = (input: HTMLInputElement) => {
    const found = parseNumber(input.value);
    if (found === null) {
      wrong(`“${input.value.trim()}” is no number that is clear; such as 45.5 or 1000 is right`);
      input.value = shown;
    } else if (found !== value) set(found);
    else input.value = shown;
  };
  return (
    <input id={id} class="number" type="text" role="spinbutton" autocomplete="off" spellcheck={false} value={shown}
      inputmode={low !== null && low >= 0 ? "decimal" : "text"} disabled={disabled} aria-label={name}
      aria-valuenow={value ?? undefined} aria-valuemin={low ?? undefined} aria-valuemax={high ?? undefined}
      onFocus={(event) => event.currentTarget.select()}
      onChange={(event) => take(event.currentTarget)}
      onKeyDown={(event) => {
        if (event.key === "Enter") {
          event.preventDefault(); // a form would be sent with the number from before
          take(event.currentTarget);
        }
        const way = event.key === "ArrowUp" ? 1 : event.key === "ArrowDown" ? -1 : 0;
        if (way === 0) return;
        event.preventDefault();
        const next = (parseNumber(event.currentTarget.value) ?? value ?? 0) + way * step;
        set(Number(Math.min(high ?? next, Math.max(low ?? next, next)).toFixed(6)));
      }} />
  );
};

import { useRef } from "preact/hooks";
import { parseNumber } from "./state";

/**
 * A field for a number: a decimal comma is one, too, which a browser's own field drops in silence. `wrong` is told what
 * is wrong with what was written, and "" once it is right. With `bounded`, a number out of the range is wrong.
 */
export const NumberField = ({ value, set, wrong, low, high, step = 1, id, name, disabled = false, bounded = false,
  periodic = false, unit = "" }: {
  value: number | null;
  set: (value: number) => void;
  wrong: (text: string) => void;
  low: number | null;
  high: number | null;
  step?: number;
  id?: string;
  name?: string;
  disabled?: boolean;
  bounded?: boolean;
  periodic?: boolean;
  unit?: string;
}) => {
  const typed = useRef(false);
  const shown = value === null ? "" : String(value);
  const take = (input: HTMLInputElement) => {
    if (!typed.current && input.value === shown) return; // put back by what follows, and not written
    typed.current = false;
    const found = parseNumber(input.value);
    const range = low === null || high === null || periodic ? "a number such as 45.5" : `${low} to ${high} ${unit}`.trim();
    const out = bounded && !periodic && found !== null && (found < (low ?? found) || found > (high ?? found));
    if (found === null) wrong(` = “${input.value.trim()}” is no number that is clear; ${range} is right`);
    else if (out) wrong(` = ${found} is out of range; ${range} is right`);
    else wrong("");
    if (found !== null && !out && found !== value) set(found);
    else input.value = shown;
  };
  return (
    <input id={id} class="number" type="text" role="spinbutton" autocomplete="off" spellcheck={false} value={shown}
      inputmode={low !== null && low >= 0 ? "decimal" : "text"} disabled={disabled} aria-label={name}
      aria-valuenow={value ?? undefined} aria-valuemin={low ?? undefined} aria-valuemax={high ?? undefined}
      onFocus={(event) => event.currentTarget.select()}
      onInput={() => { typed.current = true; }}
      onChange={(event) => take(event.currentTarget)}
      onBlur={(event) => typed.current && take(event.currentTarget)}
      onKeyDown={(event) => {
        if (event.key === "Enter") {
          event.preventDefault(); // a form would be sent with the number from before
          typed.current = true;
          take(event.currentTarget);
        }
        const way = event.key === "ArrowUp" ? 1 : event.key === "ArrowDown" ? -1 : 0;
        if (way === 0) return;
        event.preventDefault();
        typed.current = false;
        wrong("");
        const next = (parseNumber(event.currentTarget.value) ?? value ?? 0) + way * step;
        set(Number(Math.min(high ?? next, Math.max(low ?? next, next)).toFixed(6)));
      }} />
  );
};

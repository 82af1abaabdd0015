// Names that are near to what was written.

/** How many letters have to be changed, added or left out to make one word of the other. */
const distance = (one: string, other: string) => {
  let above = Array.from({ length: other.length + 1 }, (_, k) => k);
  for (let j = 1; j <= one.length; j += 1) {
    const row = [j];
    for (let k = 1; k <= other.length; k += 1) {
      const swap = (above[k - 1] ?? 0) + (one[j - 1] === other[k - 1] ? 0 : 1);
      row.push(Math.min(swap, (above[k] ?? 0) + 1, (row[k - 1] ?? 0) + 1));
    }
    above = row;
  }
  return above[other.length] ?? 0;
};

/** The few names that are nearest to a text, whole or by one of their words; there are always some. */
export const nearest = (text: string, names: string[], most = 3): string[] => {
  const wanted = text.toLowerCase().slice(0, 60);
  const far = (name: string) => Math.min(...[name, ...name.split(/[\s_-]+/)].map((part) =>
    distance(wanted, part.toLowerCase()) / Math.max(wanted.length, part.length, 1)));
  const all = [...new Set(names)].map((name) => ({ name, far: far(name) }));
  return all.sort((one, other) => one.far - other.far).slice(0, most).map((one) => one.name);
};

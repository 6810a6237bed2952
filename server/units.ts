// Quantities for a reader.

/** `bytes` for a reader, in powers of 1000: "987 B", "4.7 GB". */
export function bytesText(bytes: number): string {
  if (bytes < 1000) return `${Math.round(bytes)} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = -1;
  do {
    value /= 1000;
    unit++;
  } while (value >= 999.5 && unit < units.length - 1);
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** A short time for a reader: "87 ms", "1.2 s". */
export function durationText(ms: number): string {
  return ms < 1000 ? `${Math.max(1, Math.round(ms))} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** `seconds` for a reader: "45 s", "3 min", "2 h 5 min". */
export function timeText(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** `count` for a reader: "640", "120 K", "9.59 M", "16.4 B". */
export function countText(count: number): string {
  const steps = [
    [1e9, " B"],
    [1e6, " M"],
    [1e3, " K"],
  ] as const;
  const step = steps.find(([size]) => count >= size);
  return step === undefined ? String(count) : `${(count / step[0]).toPrecision(3)}${step[1]}`;
}

export function percentText(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

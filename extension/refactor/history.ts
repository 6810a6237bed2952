// What the user has asked for before.

const KEPT = 30; // instructions; more are not looked through

/** `history` with `instruction` first, and nothing twice. */
export function withInstruction(history: readonly string[], instruction: string): string[] {
  const text = instruction.trim();
  if (text === "") return [...history];
  return [text, ...history.filter((other) => other !== text)].slice(0, KEPT);
}

/** What was stored, whatever it is: another version may have stored something else. */
export function readHistory(stored: unknown): string[] {
  if (!Array.isArray(stored)) return [];
  return stored.filter((one): one is string => typeof one === "string").slice(0, KEPT);
}

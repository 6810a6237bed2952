/** Of doctest's output, the cases that failed: those that passed may have much to say. */
export function failedCases(output) {
  const cases = output.replaceAll("\r", "").split(/^={20,}$/m); // Windows ends its lines with \r too
  return cases.filter((each) => /\bERROR\b|Status: FAILURE/.test(each)).join("");
}

// Where code is written: not the log, the output of a task or the old side of a comparison.

/** Of files. */
export const fileSchemes: readonly string[] = ["file", "vscode-remote", "vscode-vfs"];

/** Of documents that are edited one by one. */
export const documentSchemes: readonly string[] = [...fileSchemes, "untitled"];

/** Of all that is completed. */
export const codeSchemes: readonly string[] = [...documentSchemes, "vscode-notebook-cell"];

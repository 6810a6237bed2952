// What the extension and the server say beyond standard LSP.
// All of server/ that the extension may import.

export * from "./context";
export * from "./endpoint";
export * from "./models";
export * from "./refactor";
export * from "./settings";
export * from "./statistics";
export * from "./status";
export * from "./why";

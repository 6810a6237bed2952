// The settings, as the server and the extension both have them.

/** The `ringside` section of settings.json. Defaults live in package.json and nowhere else. */
export interface Settings {
  readonly enabled: boolean;
  /** VS Code language ids in which nothing is proposed. */
  readonly disabledLanguages: readonly string[];
  /** A model's folder, its .gguf file, or an id of the catalogue; null: the bundled model. */
  readonly model: string | null;
  /** Where downloaded models are kept; null: the platform's place for data. */
  readonly modelsDirectory: string | null;
  /** Where models are downloaded from, instead of Hugging Face. */
  readonly mirror: string | null;
  /** "auto": a GPU if one can be used; "cuda": the same, and the status says why if none can. */
  readonly device: "auto" | "cpu" | "cuda";
  /** 0: one for each physical core. */
  readonly threads: number;
  /** How much of the code around the cursor the model is shown. */
  readonly contextTokens: number;
  readonly maxTokens: number;
  /** The most lines of a completion; null: as many as the code asks for. */
  readonly maxLines: number | null;
  /** Megabytes that the model may take; null: three quarters of the machine's. */
  readonly memoryMB: number | null;
  /** Megabytes of a GPU's memory that the model may take; null: what is free. */
  readonly gpuMemoryMB: number | null;
  /** A token's experts run until this share of its router's weight is covered; 1: all of them. */
  readonly expertCoverage: number;
  /** At most this share of the parameters runs for a token; 1: no limit. */
  readonly activeShare: number;
  /** null: adapts to how fast the model answers here. */
  readonly debounceMs: number | null;
  /** How sure the model has to be of what is shown: "low" shows little, "always" everything. */
  readonly eagerness: Eagerness;
  /** Where nothing is proposed, by what the cursor stands in. */
  readonly silentIn: readonly ("comment" | "string")[];
  /** Files that no model is ever shown, beside those that hold secrets: patterns as in .gitignore. */
  readonly excludedFiles: readonly string[];
  /** An OpenAI-compatible API that completes instead of a model of this machine; null: none. */
  readonly endpoint: string | null;
  /** The model's name there; null: the first that it lists. */
  readonly endpointModel: string | null;
}

export type Eagerness = "low" | "medium" | "high" | "always";

/** What the server needs to know before the first settings arrive. */
export interface InitializationOptions {
  readonly settings?: Settings;
  /** Folder of this machine for what outlasts the server: its statistics. Not given: they end with it. */
  readonly storage?: string;
  /** Whether the client answers ringside/definitions. */
  readonly definitions?: boolean;
  /** Whether the editor answers the server's request for an endpoint's key. */
  readonly storesKeys?: boolean;
  /** Whether the server has ended again and again while it loaded the model that the settings name: it goes without. */
  readonly modelEndsServer?: boolean;
}

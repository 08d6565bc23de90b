/** So much of a reason a failure carries: it has to fit into an event. */
const charactersOfReason = 8_000;

/** Why something went wrong, as a failure says it. */
export const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).slice(0, charactersOfReason);

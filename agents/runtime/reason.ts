/** The longest reason in a failure, which has to fit into an event. */
const charactersOfReason = 8_000;

/** The text of an error, as a failure reports it. */
export const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).slice(0, charactersOfReason);

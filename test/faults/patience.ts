/**
 * How long a test waits for what has to come before it says that it did not. A busy machine takes its time: what is to be
 * proven quick is measured, and nothing else.
 */
export const patienceMs = 150_000;

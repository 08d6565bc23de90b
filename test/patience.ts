/**
 * How long a test waits for what it expects before it fails. It is long for busy machines. A test that has to prove that
 * something comes soon makes everything else come much later, and does not measure seconds.
 */
export const patienceMs = 150_000;
